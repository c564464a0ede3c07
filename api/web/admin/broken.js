// What the server found wrong with a file, in Chinese; in English it is shown as it comes.
import { lang } from "../shared/i18n.js";

const KNOWN = [
  [/^(.*) is no code: .*$/, "$1 不能作编号：须为 1 至 32 个字母、数字、. _ -"],
  [/^(.*) cannot be a code: it is an address of its own$/, "$1 不能作编号：另有用途"],
  [/^is empty; a matter that goes either way names its desk$/, "没有填：双向的事项必须写明承办席位"],
  [/^is empty$/, "没有填"],
  [/^has (\d+) characters; at most (\d+)$/, "有 $1 个字符，最多 $2 个"],
  [/^has (\d+) words; at most (\d+)$/, "有 $1 个关键词，最多 $2 个"],
  [/^holds a line break or another character that cannot be seen$/, "含有换行或其他看不见的字符"],
  [/^must not begin with (.), which begins a formula in a spreadsheet$/, "不能以 $1 开头（表格软件会当作公式）"],
  [/^(.*) is no direction: (.*)$/, "$1 不是方向，应为：$2"],
  [/^(.*) is no urgency: (.*)$/, "$1 不是紧急程度，应为：$2"],
  [/^(.*) is no number of working hours from 1 to (\d+)$/, "$1 不是 1 至 $2 的工作小时数"],
  [/^(.*) is neither 是 nor 否$/, "$1 既不是“是”也不是“否”"],
  [/^(.*) is no desk of the settings: (.*)$/, "配置中没有席位 $1，现有：$2"],
  [/^(.*) is the side that this direction takes it from$/, "按这个方向，$1 是转出方，不能又是承办方"],
  [/^(.*) stands in row (\d+) already$/, "$1 与第 $2 行重复"],
  [/^has no heading$/, "这一列没有标题"],
  [/^is no heading that is known: (.*)$/, "标题不认识，可用的有：$1"],
  [/^is there twice$/, "标题重复"],
  [/^there is no column (\S+) .*$/, "缺少“$1”列"],
  [/^the file is empty$/, "文件是空的"],
  [/^the file is larger than (\d+) bytes$/, "文件超过 $1 字节"],
  [/^there are more than (\d+) rows$/, "超过 $1 行"],
  [/^there is no matter in it, only headings$/, "只有标题，没有事项"],
  [/^is no CSV: (.*)$/, "不是合格的 CSV：$1"],
  [/^(.*) is no date such as 2026-10-01$/, "$1 不是 2026-10-01 这样的日期"],
  [/^(\S+) is (.*), but line (\d+) says (.*)$/, "$1 是 $2，但第 $3 行写的是 $4"],
  [/^(.*) is not like 0830-1700$/, "$1 不是 0830-1700 这样的时间"],
  [/^(.*) has more than 59 minutes$/, "$1 的分钟超过 59"],
  [/^(.*) is not before (.*)$/, "$1 不早于 $2"],
  [/^(.*) does not come after (.*)$/, "$1 不在 $2 之后"],
  [/^there is no day in it$/, "里面没有日期"],
  [/^it is no text in UTF-8 or GB18030$/, "不是 UTF-8 或 GB18030 的文字"],
  [/^it has more than (\d+) days$/, "超过 $1 天"],
  [/^line \d+: the header must be .*$/, "第一行须为：日期,时间,原因（或 date,hours,reason）"],
  [/^the header must be .*$/, "第一行须为：日期,时间,原因（或 date,hours,reason）"],
  [/^has more cells than the header; .*$/, "比第一行的格子多；几段时间之间用分号"],
  [/^the year must be (\d+) to (\d+)$/, "年份须为 $1 至 $2"],
  [/^a reason is one line of at most (\d+) characters$/, "原因只能写一行，最多 $1 个字符"],
  [/^the reason is too long for the PBX; use fewer words$/, "原因太长，请写短些"],
  [/^no day of (\d+) is in it, .*$/, "里面没有 $1 年的日期，不是那一年的安排"],
  [/^is no line of a calendar .*$/, "不是日历文件的一行"],
  [/^the event has no DTSTART$/, "事件没有开始时间 DTSTART"],
  [/^the event repeats \((\S+)\); .*$/, "事件是重复的（$1）；请每天写一个事件"],
  [/^the event has more than one (\S+)$/, "事件有几个 $1"],
  [/^the file ends inside of (\S+)$/, "文件在 $1 中间断了"],
  [/^(\S+) has passed; it is (\S+)$/, "$1 已经过了，现在是 $2"],
  [/^(.*) is no time such as 14:30$/, "$1 不是 14:30 这样的时间"],
];
// A special day that cannot be: which day, why, and how hours are written.
const OF_A_DAY = /^(\d{4}-\d\d-\d\d): (.*?)(; say closed, work, .*)?$/;

export function brokenWords(reason) {
  if (lang() === "en") return reason;
  const day = OF_A_DAY.exec(reason);
  if (day) return `${day[1]}：${brokenWords(day[2])}${day[3] ? "。可写：休、班、8:30-12:00;13:30-17:00" : ""}`;
  for (const [pattern, words] of KNOWN) {
    if (pattern.test(reason)) return reason.replace(pattern, words);
  }
  return reason;
}
