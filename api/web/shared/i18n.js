// Words of the pages in Chinese and English. A page adds its own with words({zh: {...}, en: {...}}).
// Both languages must have the same keys; a test compares them.
const KEY = "hotline.lang";
const known = { zh: {}, en: {} };

function kept() {
  try {
    return localStorage.getItem(KEY) === "en" ? "en" : "zh";
  } catch {
    return "zh";
  }
}

let now = kept();
document.documentElement.lang = now === "zh" ? "zh-CN" : "en";

export function words(more) {
  Object.assign(known.zh, more.zh);
  Object.assign(known.en, more.en);
}

export function lang() {
  return now;
}

export function setLang(value) {
  now = value === "en" ? "en" : "zh";
  document.documentElement.lang = now === "zh" ? "zh-CN" : "en";
  try {
    localStorage.setItem(KEY, now);
  } catch {
    // storage is forbidden: the choice lasts as long as the page
  }
  dispatchEvent(new CustomEvent("hotline:lang", { detail: now }));
}

/** The words for a key; {name} in them is replaced by the value of that name. */
export function t(key, values = {}) {
  const text = known[now][key] ?? known.zh[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** A word of the record as people read it: kind.求助 and the like; one that has no words as it is. */
export function word(group, value) {
  return value && has(`${group}.${value}`) ? t(`${group}.${value}`) : value;
}

export function has(key) {
  return key in known[now];
}

/** What was given in both languages, as {zh, en}. */
export function pick(pair) {
  return (now === "zh" ? pair.zh : pair.en) || pair.zh || pair.en || "";
}

const ZONE = "Asia/Shanghai";

export function time(iso, { seconds = false } = {}) {
  if (!iso) return "";
  return new Date(iso).toLocaleTimeString("zh-CN", {
    timeZone: ZONE, hour: "2-digit", minute: "2-digit", hour12: false,
    ...(seconds ? { second: "2-digit" } : {}),
  });
}

/** A day and time as people read it here: 11-24 14:05, with the year when it is another. */
export function dayTime(iso) {
  if (!iso) return "";
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en-CA", {
      timeZone: ZONE, year: "numeric", month: "2-digit", day: "2-digit",
      hour: "2-digit", minute: "2-digit", hourCycle: "h23",
    }).formatToParts(new Date(iso)).map((part) => [part.type, part.value]),
  );
  const year = new Intl.DateTimeFormat("en-CA", { timeZone: ZONE, year: "numeric" }).format(new Date());
  const day = `${parts.month}-${parts.day} ${parts.hour}:${parts.minute}`;
  return parts.year === year ? day : `${parts.year}-${day}`;
}

/** Seconds as 1:05 or 1:02:03. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = `${hours ? two(Math.floor(whole / 60) % 60) : Math.floor(whole / 60)}:${two(whole % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

words({
  zh: {
    "app.name": "民意服务热线",
    "nav.desk": "坐席", "nav.console": "班长台", "nav.admin": "管理",
    "shell.signOut": "退出登录", "shell.password": "更改密码", "shell.language": "English", "shell.theme": "外观",
    "shell.theme.auto": "外观：跟随系统", "shell.theme.light": "外观：浅色", "shell.theme.dark": "外观：深色",
    "shell.skip": "跳到正文", "shell.loading": "正在载入…", "shell.close": "关闭", "shell.nav": "页面",
    "shell.unsaved": "您写在工单 {cases} 里的内容，服务器没有收下。退出后这些内容将从这台电脑上删除，不能恢复。仍要退出吗？",
    "shell.failed": "页面没有载入：{why}。请按 F5 重试。",
    "live.lost": "与服务器的连接中断，正在重新连接。通话不受影响；此时显示的内容可能已过时，按键会被拒绝。",
    "live.pbx-down": "服务器暂时看不到交换机。通话继续；此时显示的内容可能已过时，按键会被拒绝。",
    "live.back": "连接已恢复。",
    "and.comma": "，", "and.list": "、", "and.colon": "：", "and.sentence": "",
    "kind.咨询": "咨询", "kind.建议": "建议", "kind.求助": "求助", "kind.表扬": "表扬", "kind.投诉": "投诉", "nuisance.骚扰": "骚扰", "nuisance.谎报": "谎报",
    "field.required": "请填写", "field.short": "至少 {n} 个字符", "field.long": "最多 {n} 个字符",
    "field.pattern": "格式不正确", "field.number": "请填写数字", "field.date": "请填写有效的日期时间",
    "field.known": "请从列表中选择", "field.range": "超出允许的范围", "field.extra": "此处不能填写", "field.line": "只能写一行", "field.span": "{n} 到 {m} 个字符", "field.many": "不能超过 {n} 项", "field.phone": "请填写电话号码：数字，可带 +、空格、-", "field.position": "请填写纬度,经度，如 41.57,120.45", "field.wrong": "不能这样填写：{why}",
    "problem.offline": "没有答复：与服务器的连接中断。恢复后请先看是否已经执行，再按。",
    "problem.not-signed-in": "登录已过期，请重新登录。",
    "problem.not-allowed": "您的角色不能这样做，或者这是别人的通话。",
    "problem.csrf": "页面已过期，请刷新后再试。",
    "problem.call-not-found": "这个通话已经结束。",
    "problem.case-not-found": "没有这个工单。",
    "problem.agent-not-found": "没有这个坐席。",
    "problem.desk-not-found": "没有这个单位。",
    "problem.handover-not-found": "这次转接已经结束。",
    "problem.message-not-found": "没有这条留言。",
    "problem.wrong-state": "现在不能这样做：通话的状态已经改变。",
    "problem.handover-running": "已有一次转接正在进行。",
    "problem.agent-busy": "您正在通话，不能同时回拨。",
    "problem.agent-already-signed-in": "已经签入。",
    "problem.agent-not-signed-in": "尚未签入。",
    "problem.agent-already-paused": "已经示忙。",
    "problem.agent-not-paused": "没有示忙。",
    "problem.callbacks-off": "本系统没有开通回拨。",
    "problem.number-not-allowed": "不允许拨打这个号码。",
    "problem.searches-limited": "您一小时内按号码查找的次数已到上限。请按工单号查找，或请班长查找。",
    "problem.version-conflict": "别人刚刚改过这个工单。",
    "problem.matter-unknown": "事项目录里没有这个事项，请从列表中选择。",
    "problem.matter-not-found": "目录里没有这个事项。",
    "problem.matter-version-not-found": "没有这个版本的目录。",
    "problem.conference-not-found": "这次三方通话已经结束。",
    "problem.party-not-found": "这一方已经不在通话中。",
    "problem.not-in-room": "这一方不在三方通话中。",
    "problem.room-full": "三方通话的人数已满。",
    "problem.room-locked": "三方通话已锁定，不能再加入。",
    "problem.no-place-free": "驻留位已满。",
    "problem.message-held": "别的坐席正在处理。",
    "problem.callback-not-found": "没有这次回拨。",
    "problem.sound-not-found": "没有录音。",
    "problem.recording-not-found": "没有这段录音。",
    "problem.leg-not-found": "没有这段通话。",
    "problem.line-not-found": "没有这条线路。",
    "problem.pause-reason-not-found": "没有这个示忙原因。",
    "problem.not-found": "没有找到。",
    "problem.person-not-found": "没有这个人。",
    "problem.person-exists": "已有这个用户名。",
    "problem.last-admin": "最后一个管理员不能停用，也不能去掉管理员角色。",
    "problem.special-day-not-found": "这一天没有特别规定。",
    "problem.calendar-not-pushed": "已保存，但交换机没有收下。服务会再试。",
    "problem.export-not-found": "没有这个导出。",
    "problem.export-gone": "导出的文件已到期删除，请重新导出。",
    "problem.export-not-ready": "导出还没有完成。",
    "problem.export-disk-full": "磁盘空间不足，没有导出。",
    "problem.export-not-writable": "服务器上的导出目录写不进去：请联系管理员。",
    "problem.too-many-figures": "一次要的数字太多：请缩短时间，或选更大的周期。",
    "problem.dialplan-load-running": "正在加载拨号方案，请等它完成。",
    "problem.dialplan-version-not-found": "没有这个版本的拨号方案。",
    "problem.too-large": "太大了，服务器没有收。",
    "problem.idempotency-key-reused": "已经收到过这次按键，没有重复执行。",
    "problem.pbx-not-found": "没有这台交换机。",
    "problem.wrong-password": "现在的密码不对。",
    "problem.password-weak": "密码不符合要求：{detail}",
    "problem.sign-in-refused": "用户名或密码不对。",
    "problem.nothing-proposed": "还没有建议的单位：请先选择事项。",
    "problem.pbx-unavailable": "交换机暂时连不上，没有执行。请稍后再试。",
    "problem.pbx-timeout": "交换机没有及时答复。请先看是否已经执行，再决定是否重按。",
    "problem.pbx-refused": "交换机拒绝了这个操作。",
    "problem.database-unavailable": "数据库暂时不可用，没有保存。请稍后再试。",
    "problem.not-ready": "服务尚未就绪，请稍后再试。",
    "problem.internal": "服务器出错，已记入日志；交换机上的通话不受影响。",
    "problem.request-invalid": "有内容填写得不对，请看标出的地方。",
    "problem.value-invalid": "有内容填写得不对：{detail}",
    "problem.locked-out": "密码错误次数过多，请稍后再试。",
    "problem.other": "没有成功：{title}（{detail}）",
  },
  en: {
    "app.name": "Citizens' hotline",
    "nav.desk": "Desk", "nav.console": "Console", "nav.admin": "Admin",
    "shell.signOut": "Sign out", "shell.password": "Change my password", "shell.language": "中文", "shell.theme": "Appearance",
    "shell.theme.auto": "Appearance: system", "shell.theme.light": "Appearance: light", "shell.theme.dark": "Appearance: dark",
    "shell.skip": "Skip to the content", "shell.loading": "Loading…", "shell.close": "Close", "shell.nav": "Pages",
    "shell.unsaved": "The server has not taken what you wrote in {cases}. Signing out deletes it from this computer for good. Sign out all the same?",
    "shell.failed": "The page did not load: {why}. Press F5 to try again.",
    "live.lost": "The connection to the server is lost; connecting again. Calls go on. What is shown may be stale, and keys are refused.",
    "live.pbx-down": "The server cannot see the PBX. Calls go on. What is shown may be stale, and keys are refused.",
    "live.back": "The connection is back.",
    "and.comma": ", ", "and.list": ", ", "and.colon": ": ", "and.sentence": " ",
    "kind.咨询": "question", "kind.建议": "suggestion", "kind.求助": "request", "kind.表扬": "praise", "kind.投诉": "complaint", "nuisance.骚扰": "nuisance", "nuisance.谎报": "false alarm",
    "field.required": "Please fill in", "field.short": "At least {n} characters", "field.long": "At most {n} characters",
    "field.pattern": "Not in the right form", "field.number": "Please give a number", "field.date": "Please give a valid date and time",
    "field.known": "Please choose from the list", "field.range": "Outside of what is allowed", "field.extra": "Nothing can be given here", "field.line": "One line only", "field.span": "{n} to {m} characters", "field.many": "At most {n} entries", "field.phone": "A telephone number please: digits, with +, spaces or -", "field.position": "Latitude and longitude please, as 41.57,120.45", "field.wrong": "This cannot be given: {why}",
    "problem.offline": "No answer: the connection to the server is lost. When it is back, see first whether it was done.",
    "problem.not-signed-in": "Your session has ended; please sign in again.",
    "problem.not-allowed": "Your role does not allow this, or it is somebody else's call.",
    "problem.csrf": "The page is out of date; load it again.",
    "problem.call-not-found": "This call has ended.",
    "problem.case-not-found": "There is no such case.",
    "problem.agent-not-found": "There is no such agent.",
    "problem.desk-not-found": "There is no such desk.",
    "problem.handover-not-found": "This hand-over has ended.",
    "problem.message-not-found": "There is no such message.",
    "problem.wrong-state": "Not possible now: the call has changed.",
    "problem.handover-running": "A hand-over is under way already.",
    "problem.agent-busy": "You are on a call and cannot call back meanwhile.",
    "problem.agent-already-signed-in": "Signed in already.",
    "problem.agent-not-signed-in": "Not signed in yet.",
    "problem.agent-already-paused": "Paused already.",
    "problem.agent-not-paused": "Not paused.",
    "problem.callbacks-off": "Calling back is not set up here.",
    "problem.number-not-allowed": "This number may not be called.",
    "problem.searches-limited": "You have searched by a number as often as you may in an hour. Search by case, or ask a supervisor.",
    "problem.version-conflict": "Somebody else has just changed this case.",
    "problem.matter-unknown": "The directory has no such matter; choose one from the list.",
    "problem.matter-not-found": "The directory has no such matter.",
    "problem.matter-version-not-found": "There is no such version of the directory.",
    "problem.conference-not-found": "This three-way call has ended.",
    "problem.party-not-found": "This party is not in the call any more.",
    "problem.not-in-room": "This party is not in the three-way call.",
    "problem.room-full": "No more parties are allowed in this three-way call.",
    "problem.room-locked": "The three-way call is locked; nobody else is let in.",
    "problem.no-place-free": "No parking place is free.",
    "problem.message-held": "Another agent is on it.",
    "problem.callback-not-found": "There is no such callback.",
    "problem.sound-not-found": "There is no sound.",
    "problem.recording-not-found": "There is no such recording.",
    "problem.leg-not-found": "There is no such leg.",
    "problem.line-not-found": "There is no such line.",
    "problem.pause-reason-not-found": "There is no such reason for a pause.",
    "problem.not-found": "Not found.",
    "problem.person-not-found": "There is no such person.",
    "problem.person-exists": "This name is taken.",
    "problem.last-admin": "The last admin can neither be disabled nor lose this role.",
    "problem.special-day-not-found": "Nothing special was decided for this day.",
    "problem.calendar-not-pushed": "Stored, but the PBX did not keep it. The service tries again.",
    "problem.export-not-found": "There is no such export.",
    "problem.export-gone": "The file has expired; export it again.",
    "problem.export-not-ready": "The export has not ended yet.",
    "problem.export-disk-full": "No room on the disk; nothing was exported.",
    "problem.export-not-writable": "The folder of exports on the server cannot be written: tell an administrator.",
    "problem.too-many-figures": "Too many figures at once: choose less time or longer periods.",
    "problem.dialplan-load-running": "A dialplan is being loaded; wait until it is done.",
    "problem.dialplan-version-not-found": "There is no such version of the dialplan.",
    "problem.too-large": "Too large; the server did not take it.",
    "problem.idempotency-key-reused": "This press was taken already; nothing was done twice.",
    "problem.pbx-not-found": "There is no such PBX.",
    "problem.wrong-password": "The present password is wrong.",
    "problem.password-weak": "The password will not do: {detail}",
    "problem.sign-in-refused": "Name or password is wrong.",
    "problem.nothing-proposed": "No desk is proposed yet: choose a matter first.",
    "problem.pbx-unavailable": "The PBX cannot be reached; nothing was done. Try again later.",
    "problem.pbx-timeout": "The PBX did not answer in time. Look whether it was done before you press again.",
    "problem.pbx-refused": "The PBX refused this.",
    "problem.database-unavailable": "The database is not available; nothing was saved. Try again later.",
    "problem.not-ready": "The service is not ready yet; try again later.",
    "problem.internal": "The server failed, which is in its log; calls on the PBX go on.",
    "problem.request-invalid": "Something is not filled in rightly; see the marked places.",
    "problem.value-invalid": "Something is not filled in rightly: {detail}",
    "problem.locked-out": "Too many wrong passwords; try again later.",
    "problem.other": "That did not work: {title} ({detail})",
  },
});
