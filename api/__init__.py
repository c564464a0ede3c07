"""HTTP interface of the hotline service; no call logic lives here."""
