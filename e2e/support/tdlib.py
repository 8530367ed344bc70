"""TDLib, the library that Telegram makes itself, through its JSON interface."""

import json
import time

import tdjson


class TdLib:
    """One TDLib instance that never goes to the network by itself: it only pings the proxies it is told to."""

    def __init__(self, directory):
        tdjson.td_execute(_bytes({"@type": "setLogVerbosityLevel", "new_verbosity_level": 1}))
        self._client = tdjson.td_create_client_id()
        self._last = 0
        # Asked before the parameters are known, this is done first: so nothing of TDLib's own is ever sent.
        offline = self._send({"@type": "setNetworkType", "type": {"@type": "networkTypeNone"}})
        parameters = self._send(
            {
                "@type": "setTdlibParameters",
                "database_directory": str(directory / "database"),
                "files_directory": str(directory / "files"),
                "api_id": 1,
                "api_hash": "0" * 32,
                "system_language_code": "en",
                "device_model": "end to end",
                "application_version": "1",
            }
        )
        answers = self._collect([offline, parameters], timeout=20)
        assert all(answer["@type"] == "ok" for answer in answers), answers

    def ping(self, *links, timeout=25):
        """Pings through all links at once. For each: a number of seconds, or TDLib's own words for what went wrong."""
        requests = [
            self._send(
                {
                    "@type": "pingProxy",
                    "proxy": {
                        "@type": "proxy",
                        "server": link.host,
                        "port": link.port,
                        "type": {"@type": "proxyTypeMtproto", "secret": link.secret},
                    },
                }
            )
            for link in links
        ]
        answers = self._collect(requests, timeout)
        return [a["seconds"] if a["@type"] == "seconds" else a["message"] for a in answers]

    def read_link(self, url):
        """What TDLib understands of a link: server, port and secret, or `None`."""
        [answer] = self._collect([self._send({"@type": "getInternalLinkType", "link": url})], timeout=10)
        if answer["@type"] != "internalLinkTypeProxy" or answer.get("proxy") is None:
            return None
        proxy = answer["proxy"]
        return proxy["server"], proxy["port"], proxy["type"]["secret"]

    def close(self):
        """Ends the instance and waits until it is over."""
        self._send({"@type": "close"})
        self._receive_until(lambda o: o.get("authorization_state", {}).get("@type") == "authorizationStateClosed", 20)

    def _send(self, request):
        self._last += 1
        tdjson.td_send(self._client, _bytes({**request, "@extra": self._last}))
        return self._last

    def _collect(self, requests, timeout):
        answers = {}

        def complete(answer):
            if answer.get("@extra") in requests:
                answers[answer["@extra"]] = answer
            return len(answers) == len(requests)

        self._receive_until(complete, timeout)
        return [answers[request] for request in requests]

    def _receive_until(self, done, timeout):
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            received = tdjson.td_receive(left)
            if received is not None and done(json.loads(received)):
                return
        raise AssertionError(f"TDLib did not answer within {timeout} s")


def _bytes(request):
    return json.dumps(request).encode()
