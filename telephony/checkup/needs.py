"""What the PBX must have and allow for all of it to work, and what fails without each."""

from __future__ import annotations

from telephony.checkup.model import Words

RIGHTS = {
    "call": (
        ("Redirect", "Setvar", "Getvar", "Hangup", "Status"),
        Words(
            "hand-overs from desk and command line fail; keys on phones still work",
            "从坐席页面和命令行转接会失败；话机上的按键仍可用",
        ),
    ),
    "originate": (
        ("Originate",),
        Words("a third party cannot be called in from the desk", "坐席页面无法叫进第三方"),
    ),
    "agent": (
        ("QueueAdd", "QueueRemove", "QueuePause"),
        Words(
            "agents can sign in and out only by the code on the phone",
            "坐席只能在话机上拨代码签入签出",
        ),
    ),
    "reporting": (
        ("CoreShowChannels", "ShowDialPlan", "ConfbridgeList"),
        Words("the live picture of calls stays empty", "实时通话画面一直是空的"),
    ),
    "system": (
        ("DBPut", "DBDel", "ModuleCheck", "GetConfig", "Reload"),
        Words(
            "holidays cannot be set and dialplans not loaded from here, and this doctor sees less",
            "无法从这里设置节假日和加载拨号方案，体检能看到的也更少",
        ),
    ),
    "config": (
        ("UpdateConfig", "CreateConfig"),
        Words(
            "dialplans cannot be loaded over AMI, as pbx.load_over_ami says",
            "无法按 pbx.load_over_ami 的设置通过 AMI 加载拨号方案",
        ),
    ),
}
"""The write rights that our actions need: right -> actions, and what fails without it."""

TOO_MUCH = {
    "command": "Command",
    "config": "UpdateConfig",
    "user": "UserEvent",
    "aoc": "AOCMessage",
    "test": "LocalOptimizeTest",
}
"""Rights that we do not use, by an action that shows them."""

READ_RIGHTS = ("call", "user", "agent", "system")

NO_KEYS = Words("the keys on phones do nothing", "话机上的按键不起作用")
NO_SOUND = Words("calls have no sound", "通话没有声音")
CUT_OFF = Words("agents are cut off when they press a key", "坐席一按键就被挂断")
NO_ROOM = Words("three-way calls fail", "三方通话会失败")
NOT_LET_GO = Words(
    "the agent who waits is not let go when the desk answers", "单位接听后，等待的坐席不会被释放"
)

MODULES = {
    "pbx_config": Words("there is no dialplan", "没有拨号方案"),
    "app_dial": Words("nobody is called", "谁也呼叫不到"),
    "app_stack": Words("the dialplan stops at its first Gosub", "拨号方案停在第一个 Gosub"),
    "app_exec": Words("the dialplan stops at its first ExecIf", "拨号方案停在第一个 ExecIf"),
    "app_bridgewait": CUT_OFF,
    "bridge_holding": CUT_OFF,
    "app_queue": Words("callers reach no agent, only the message", "来电接不到坐席，只能留言"),
    "app_record": Words("no message can be left", "无法留言"),
    "func_env": Words(
        "messages count as none: their length is not known", "无法得知留言长度，留言都不作数"
    ),
    "app_playback": Words("callers hear no announcement", "来电人听不到提示音"),
    "app_read": Words("desks that must confirm a call cannot", "需要按键确认的单位无法确认来电"),
    "app_channelredirect": NO_KEYS,
    "app_originate": Words("the key for a three-way call does nothing", "三方通话的按键不起作用"),
    "app_confbridge": NO_ROOM,
    "app_softhangup": NOT_LET_GO,
    "app_userevent": Words("the desk does not see hand-overs live", "坐席页面看不到实时的转接情况"),
    "app_celgenuserevent": Words(
        "the record does not know who took a call", "记录里不知道是谁接的电话"
    ),
    "bridge_builtin_features": Words("keys during a call do nothing", "通话中的按键不起作用"),
    "bridge_simple": Words("nobody hears anybody", "双方互相听不到"),
    "bridge_softmix": NO_ROOM,
    "cel_custom": Words("no call is recorded", "没有任何通话记录"),
    "func_callerid": Words("the desk does not see who calls", "坐席页面看不到来电号码"),
    "func_channel": Words("cases have no number", "工单没有编号"),
    "func_cut": Words("hand-overs do not know who pressed the key", "转接不知道是谁按的键"),
    "func_db": Words("holidays do not count", "节假日不起作用"),
    "func_dialplan": Words(
        "callers who were not taken do not come back to their agent",
        "没有被接收的来电回不到原来的坐席",
    ),
    "func_global": Words("the keys on phones and the way back fail", "话机按键和退回坐席都会失败"),
    "func_lock": Words("two agents may pick up the same call", "两名坐席可能同时接起同一个来电"),
    "func_logic": NOT_LET_GO,
    "func_strings": Words(
        "hours do not work, and no call is recorded", "开放时间不起作用，也没有通话记录"
    ),
    "func_uri": Words("the facts of hand-overs cannot be read", "转接的情况无法读取"),
    "res_musiconhold": Words(
        "hold is silent, which sounds like a lost call", "保持时没有声音，听起来像断线"
    ),
    "chan_pjsip": Words("there is no SIP", "没有 SIP"),
    "res_pjsip_session": Words("there is no SIP call", "没有 SIP 通话"),
    "res_pjsip_sdp_rtp": NO_SOUND,
    "res_pjsip_refer": Words("a phone's own transfer is refused", "话机自带的转接会被拒绝"),
    "res_pjsip_header_funcs": Words(
        "the dialplan stops when it calls a desk", "拨号方案在呼叫单位时停止"
    ),
    "res_rtp_asterisk": NO_SOUND,
}
"""The modules that the dialplan needs, and what fails without each."""
