"""The codes of findings: how bad, what is said, and what it means for a caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""An error is never loaded; a warning should be looked at; a note lists what cannot be checked."""


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding. ``what`` has places for the values of a finding."""

    severity: Severity
    what: str
    what_zh: str
    why: str
    why_zh: str


E: Severity = "error"
W: Severity = "warning"
N: Severity = "note"
HALF = "Asterisk drops this line and loads the rest: calls go on without it"
HALF_ZH = "Asterisk 会丢掉这一行而加载其余部分：呼叫将缺少这一步"
WHOLE = "Asterisk loads nothing at all then"
WHOLE_ZH = "Asterisk 将完全不加载"
CUT = "the caller is cut off when a call gets here"
CUT_ZH = "呼叫到这里时来电者会被挂断"

CODES: dict[str, Code] = {
    # Lines.
    "unreadable": Code(E, "cannot be read: {reason}", "无法读取：{reason}", WHOLE, WHOLE_ZH),
    "not-utf8": Code(
        W,
        "is not UTF-8 text",
        "不是 UTF-8 文本",
        "names are shown wrong on phones and in lists",
        "话机和列表上的名称会显示错误",
    ),
    "no-equals": Code(
        E,
        "no setting: {line} (exten => …, same => …)",
        "不是设置行：{line}（应为 exten => …）",
        HALF,
        HALF_ZH,
    ),
    "before-section": Code(
        E,
        "stands before the first [context]: {line}",
        "位于第一个 [context] 之前：{line}",
        WHOLE,
        WHOLE_ZH,
    ),
    "bad-section": Code(
        E, "the header is not whole: {line}", "段头不完整：{line}", WHOLE, WHOLE_ZH
    ),
    "text-after-section": Code(
        E,
        "text after the header: {text}",
        "段头之后有多余内容：{text}",
        "Asterisk drops it without a word",
        "Asterisk 会不声不响地丢掉它",
    ),
    "template-missing": Code(
        E,
        "[{name}] is not there to be used or added to",
        "没有可供继承或追加的 [{name}]",
        WHOLE,
        WHOLE_ZH,
    ),
    "include-missing": Code(
        E, "no such file to include: {name}", "要包含的文件不存在：{name}", WHOLE, WHOLE_ZH
    ),
    "include-too-deep": Code(
        E, "files include each other too deeply: {name}", "文件相互包含过深：{name}", HALF, HALF_ZH
    ),
    "exec": Code(
        E,
        "#exec {what} is not run by a check",
        "检查时不会执行 #exec {what}",
        "what it would print is not known; write it to a file and include that",
        "无法知道其输出；请写成文件再包含",
    ),
    "unknown-directive": Code(
        E, "Asterisk knows no {name} here", "Asterisk 不认识这里的 {name}", HALF, HALF_ZH
    ),
    "line-too-long": Code(
        E,
        "the line is longer than 8190 bytes",
        "该行超过 8190 字节",
        "Asterisk reads it as two lines",
        "Asterisk 会把它当作两行",
    ),
    "comment-open": Code(
        E,
        "the comment ;-- that begins here never ends (--;)",
        "从这里开始的注释 ;-- 没有结束 (--;)",
        "all that follows is not loaded",
        "其后的内容都不会加载",
    ),
    "same-first": Code(
        E,
        "same => before any exten in [{name}]",
        "[{name}] 中 same => 之前没有 exten",
        HALF,
        HALF_ZH,
    ),
    "no-extension": Code(E, "no extension is named", "没有写分机", HALF, HALF_ZH),
    "next-first": Code(
        E, "priority {text} has none before it", "优先级 {text} 之前没有优先级", HALF, HALF_ZH
    ),
    "bad-priority": Code(E, "no priority: '{text}'", "优先级无效：“{text}”", HALF, HALF_ZH),
    "bad-label": Code(E, "the label is not whole: {text}", "标签不完整：{text}", HALF, HALF_ZH),
    "no-application": Code(
        E, "a step of '{name}' without an application", "“{name}” 的这一步没有应用", CUT, CUT_ZH
    ),
    "parenthesis": Code(
        E,
        "no closing or no opening parenthesis: {text}",
        "括号不成对：{text}",
        "Asterisk guesses where the arguments end",
        "Asterisk 会猜测参数在哪里结束",
    ),
    "unbalanced": Code(
        E,
        "'{text}' has no other half",
        "“{text}” 不成对",
        "variables and conditions come out otherwise than written",
        "变量和条件的结果会与所写不同",
    ),
    "text-after-step": Code(
        E,
        "text after the last parenthesis: {text}",
        "最后一个括号之后有多余内容：{text}",
        "Asterisk drops it without a word",
        "Asterisk 会不声不响地丢掉它",
    ),
    "include-twice": Code(
        W, "{name} is included already", "已经包含了 {name}", "it says nothing", "没有作用"
    ),
    "every-extension": Code(
        W,
        "_. matches everything, h and i too",
        "_. 匹配一切，包括 h 和 i",
        "a call that ends is taken for a new number; use _X.",
        "呼叫结束会被当成新号码；请用 _X.",
    ),
    # Names.
    "unknown-application": Code(
        E,
        "Asterisk {version} has no application {name}",
        "Asterisk {version} 没有应用 {name}",
        CUT,
        CUT_ZH,
    ),
    "unknown-function": Code(
        E,
        "Asterisk {version} has no function {name}",
        "Asterisk {version} 没有函数 {name}",
        "its value is empty, and what depends on it goes wrong",
        "其值为空，依赖它的判断会出错",
    ),
    "module-not-loaded": Code(
        E,
        "{name} is in {module}, which modules.conf does not load",
        "{name} 在 {module} 中，而 modules.conf 没有加载它",
        CUT,
        CUT_ZH,
    ),
    # Places.
    "target-context": Code(
        E,
        "{app} names a context that does not exist: {target}",
        "{app} 指向不存在的 context：{target}",
        CUT,
        CUT_ZH,
    ),
    "target-extension": Code(
        E,
        "{app} names an extension that does not exist: {target}",
        "{app} 指向不存在的分机：{target}",
        CUT,
        CUT_ZH,
    ),
    "target-priority": Code(
        E,
        "{app} names a priority or label that does not exist: {target}",
        "{app} 指向不存在的优先级或标签：{target}",
        CUT,
        CUT_ZH,
    ),
    "target-computed": Code(
        N,
        "{app} goes where a variable says: {target}",
        "{app} 的去向由变量决定：{target}",
        "it cannot be checked beforehand",
        "无法事先检查",
    ),
    "include-context": Code(
        E,
        "the included context {name} does not exist",
        "所包含的 context {name} 不存在",
        "its extensions cannot be dialled",
        "其中的分机无法拨打",
    ),
    "device-missing": Code(
        E,
        "pjsip.conf has no endpoint {name}",
        "pjsip.conf 中没有终端 {name}",
        "nothing rings there",
        "那里不会振铃",
    ),
    "desk-missing": Code(
        W,
        "pjsip.conf has no endpoint {name}, where the settings have a desk or agent",
        "pjsip.conf 中没有终端 {name}，而配置中有单位或坐席用它",
        "handed-over calls come back from there at once",
        "转到那里的来电会立即退回",
    ),
    "section-missing": Code(
        E,
        "{file} has no [{name}]",
        "{file} 中没有 [{name}]",
        CUT,
        CUT_ZH,
    ),
    # Ways.
    "no-priority-1": Code(
        E,
        "{where} begins with priority {priority}, not 1",
        "{where} 从优先级 {priority} 而不是 1 开始",
        "who dials it is told that there is no such number",
        "拨打者会被告知没有这个号码",
    ),
    "priority-gap": Code(
        E,
        "{where}: after {before} comes {priority}",
        "{where}：{before} 之后是 {priority}",
        CUT,
        CUT_ZH,
    ),
    "priority-twice": Code(
        E,
        "{where} stands there already, in line {line}",
        "{where} 在第 {line} 行已经有了",
        HALF,
        HALF_ZH,
    ),
    "label-twice": Code(
        E,
        "label {label} is used twice in {where}",
        "{where} 中标签 {label} 用了两次",
        "Asterisk goes to the first",
        "Asterisk 总是去第一个",
    ),
    "unreachable-step": Code(
        E,
        "{where} is never done: {before} comes before it",
        "{where} 永远不会执行：它前面是 {before}",
        "what it was to do is not done",
        "它本该做的事不会发生",
    ),
    "unreachable-context": Code(
        W,
        "nobody goes to [{name}]",
        "没有任何地方通向 [{name}]",
        "it serves only what enters from outside (a phone's context, AMI)",
        "只有从外部进入时才有用（话机的 context、AMI）",
    ),
    "no-way-out": Code(
        E,
        "{where} ends with {app}, and nothing says what follows",
        "{where} 以 {app} 结束，之后没有去向",
        "the caller is cut off there; end it with Hangup, Goto or Return",
        "来电者在那里被挂断；请以 Hangup、Goto 或 Return 结束",
    ),
    "loop-without-exit": Code(
        E,
        "{where} leads round and round",
        "{where} 无休止地循环",
        "the caller can only hang up",
        "来电者只能挂机",
    ),
    # Sounds.
    "prompt-missing": Code(
        E,
        "there is no sound {name}",
        "没有语音文件 {name}",
        "the caller hears nothing",
        "来电者什么也听不到",
    ),
    "prompt-language": Code(
        W,
        "there is {name} in English only",
        "{name} 只有英文",
        "the caller hears English, or nothing",
        "来电者听到英文，或什么也听不到",
    ),
    # Ours.
    "ours-changed": Code(
        E,
        "{where} is {found}; the settings make {ours}",
        "{where} 是 {found}；按设置应为 {ours}",
        "calls go another way than the service expects; render it anew",
        "呼叫会走与服务预期不同的路；请重新生成",
    ),
    "ours-missing": Code(
        E,
        "missing: {what}",
        "缺少：{what}",
        "calls go another way than the service expects; render it anew",
        "呼叫会走与服务预期不同的路；请重新生成",
    ),
    "ours-added": Code(
        E,
        "is not of the settings: {what}",
        "不是由设置生成的：{what}",
        "calls go another way than the service expects; put it into a file of your own",
        "呼叫会走与服务预期不同的路；请放到自己的文件中",
    ),
    # Asterisk's own word.
    "asterisk-says": Code(
        E,
        "Asterisk says: {text}",
        "Asterisk 报告：{text}",
        "it loads the file otherwise than written",
        "它加载的内容与所写不同",
    ),
    "asterisk-differs": Code(
        E,
        "Asterisk has {found}; written is {written}",
        "Asterisk 得到 {found}；所写为 {written}",
        "it loads the file otherwise than written",
        "它加载的内容与所写不同",
    ),
}
