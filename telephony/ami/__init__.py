"""How ``telephony/ami_client.py`` keeps its link and reads packets: one file a part."""
