# how many can come
PORT = 443

# name -> secret (32 hex chars)
USERS = {
    "alice": "8f1d5b0c4e3a49719c2b7d60a5e4f312",
    'bob':   "0b7c91d2e8f64a35bc1d7e90f2a3645c",  # a friend
    "carol": "0b7c91d2e8f64a35bc1d7e90f2a3645c",
    "dave":  "d15ea5e0b7f94c",
    "erin":  "5a1c0d9e8b7f46329d1e0c2b3a495867",
}

MODES = {
    "classic": False,
    "secure": True,
    "tls": True
}

TLS_DOMAIN = "www.example.com"
MASK_HOST = '127.0.0.1'
MASK_PORT = 8444
MY_DOMAIN = ["proxy.example.com", "proxy2.example.com"]
AD_TAG = "5d0e2b7f9a1c4836be7d20c1f4a59e63"

PREFER_IPV6 = False
USER_MAX_TCP_CONNS = {"alice": 20, "bob": 20, "dave": 20}
USER_EXPIRATIONS = {"erin": "31/12/2001", "dave": "01/02/2099"}
USER_DATA_QUOTA = {"bob": 1000000000}
TO_CLT_BUFSIZE = (16 * 1024, 100, 128 * 1024)
METRICS_PORT = 9400
TG_CONNECT_TIMEOUT = 10
SOCKS5_HOST = "127.0.0.1"
SOCKS5_PORT = 1080
debug = True
