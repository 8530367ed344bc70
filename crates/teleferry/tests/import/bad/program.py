PORT = 443
USERS = {"alice": "8f1d5b0c4e3a49719c2b7d60a5e4f312"}
if PORT == 443:
    USERS["bob"] = "0b7c91d2e8f64a35bc1d7e90f2a3645c"
