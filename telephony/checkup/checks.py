"""Every check of ``hotline doctor``, in the order of its report."""

from __future__ import annotations

from telephony.checkup.calendar import check_calendar
from telephony.checkup.certificates import check_certificates
from telephony.checkup.dialplan import check_dialplan, check_keys
from telephony.checkup.gaps import check_gaps
from telephony.checkup.loading import check_loading
from telephony.checkup.model import Check, Words
from telephony.checkup.options import check_options
from telephony.checkup.outbox import check_outbox
from telephony.checkup.pbx import (
    check_clock,
    check_host_name,
    check_indications,
    check_messages,
    check_modules,
    check_music,
    check_rights,
    check_version,
)
from telephony.checkup.people import check_agents, check_desks
from telephony.checkup.record import (
    check_cel,
    check_cel_back_end,
    check_cel_file,
    check_database,
    check_disk,
    check_recorder,
)
from telephony.checkup.sound import check_ports, check_prompts

CHECKS = (
    Check(
        "version",
        Words(
            "What the dialplan does was proven on this and newer versions.",
            "拨号方案在这个版本和更新的版本上验证过。",
        ),
        check_version,
    ),
    Check(
        "rights",
        Words(
            "What our AMI user may not do fails when an agent wants it.",
            "缺少的权限会让坐席的操作失败。",
        ),
        check_rights,
    ),
    Check(
        "modules",
        Words(
            "A step whose module is missing ends the call.",
            "缺少模块的那一步会让通话结束。",
        ),
        check_modules,
    ),
    Check(
        "dialplan",
        Words(
            "Calls take the way that the PBX has loaded.",
            "来电走的是交换机已加载的路线。",
        ),
        check_dialplan,
    ),
    Check(
        "loading",
        Words(
            "A load that was cut off leaves calls to a dialplan nobody has proven.",
            "中断的加载使来电走未经验证的拨号方案。",
        ),
        check_loading,
        False,
    ),
    Check(
        "keys",
        Words(
            "Agents hand over and call in third parties by these keys.",
            "坐席靠这些按键转接和三方通话。",
        ),
        check_keys,
    ),
    Check(
        "cel",
        Words(
            "Legs and first contacts are made of what CEL says.",
            "话段和首接由 CEL 得出。",
        ),
        check_cel,
    ),
    Check(
        "cel-back-end",
        Words(
            "A slow back end holds every call up.",
            "慢的后端会拖住每个来电。",
        ),
        check_cel_back_end,
    ),
    Check(
        "cel-file",
        Words(
            "A call without rows here is on no record.",
            "不在其中的通话没有任何记录。",
        ),
        check_cel_file,
        False,
    ),
    Check(
        "clock",
        Words(
            "Opening hours and all times on record go by it.",
            "开放时间和所有记录时间以它为准。",
        ),
        check_clock,
    ),
    Check(
        "calendar",
        Words(
            "The dialplan decides by what the PBX knows of each day.",
            "拨号方案按交换机所知的日历判断。",
        ),
        check_calendar,
    ),
    Check(
        "host-name",
        Words(
            "Each look-up that fails holds a call up.",
            "每次查询失败都会耽误来电。",
        ),
        check_host_name,
        False,
    ),
    Check(
        "indications",
        Words(
            "Without a ring tone Asterisk hangs up where it should ring.",
            "没有回铃音，该振铃时会挂断。",
        ),
        check_indications,
    ),
    Check(
        "music",
        Words(
            "Who waits must hear something: silence sounds like a lost call.",
            "等待的人要听到声音：寂静像断线。",
        ),
        check_music,
    ),
    Check(
        "prompts",
        Words(
            "Where a prompt is missing the caller hears silence.",
            "缺少提示音，来电人听到的是寂静。",
        ),
        check_prompts,
    ),
    Check(
        "ports",
        Words(
            "A call for which no port is left has no sound.",
            "没有端口的通话没有声音。",
        ),
        check_ports,
    ),
    Check(
        "messages",
        Words(
            "After hours callers leave a message here.",
            "下班后来电人在此留言。",
        ),
        check_messages,
    ),
    Check(
        "agents",
        Words(
            "Callers are put through to whoever is signed in.",
            "来电接给签入的人。",
        ),
        check_agents,
    ),
    Check(
        "desks",
        Words(
            "A hand-over to a desk that is away comes back to the agent.",
            "转给不在线的单位，来电会回到坐席。",
        ),
        check_desks,
    ),
    Check(
        "options",
        Words(
            "A phone that has gone is known only if it is asked.",
            "话机掉线只有询问才知道。",
        ),
        check_options,
    ),
    Check(
        "certificates",
        Words(
            "Once one has ended, whoever checks it hangs up.",
            "过期后，检查证书的一方会挂断。",
        ),
        check_certificates,
        False,
    ),
    Check(
        "disk",
        Words(
            "On a full disk rows and messages vanish silently.",
            "磁盘满了，记录和留言会无声丢失。",
        ),
        check_disk,
        False,
    ),
    Check(
        "database",
        Words(
            "Calls go on without it; the record waits in the CEL file.",
            "没有它通话继续，记录在 CEL 文件里等待。",
        ),
        check_database,
        False,
    ),
    Check(
        "recorder",
        Words(
            "What is not stored yet shows in no list and no export.",
            "还没入库的不出现在列表和导出中。",
        ),
        check_recorder,
        False,
    ),
    Check(
        "outbox",
        Words(
            "Other platforms do not learn of cases that are theirs.",
            "其他平台不知道归他们的工单。",
        ),
        check_outbox,
        False,
    ),
    Check(
        "gaps",
        Words(
            "What happened meanwhile is on no record.",
            "这段时间没有记录。",
        ),
        check_gaps,
        False,
    ),
)
