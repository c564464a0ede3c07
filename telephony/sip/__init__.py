"""How ``telephony/softphone.py`` speaks SIP and RTP: one file a layer."""
