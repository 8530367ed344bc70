import os
PORT = int(os.environ["PORT"])
USERS = {"alice": "8f1d5b0c4e3a49719c2b7d60a5e4f312"}
STATS_PRINT_PERIOD = 10 * 60
SPEED = 9
