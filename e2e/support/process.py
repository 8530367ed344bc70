"""A child process whose lines of output are waited for, never slept for."""

import queue
import signal
import subprocess
import threading
import time


class Child:
    """A running program. Everything it writes to standard error is kept for the report of a failing test."""

    def __init__(self, command, **options):
        self.command = [str(part) for part in command]
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            **options,
        )
        self.errors = []
        self._stdout, self._stderr = queue.Queue(), queue.Queue()
        for stream, lines, kept in (
            (self._process.stdout, self._stdout, None),
            (self._process.stderr, self._stderr, self.errors),
        ):
            threading.Thread(target=_pump, args=(stream, lines, kept), daemon=True).start()

    def wait_stdout(self, wanted=lambda line: True, timeout=20):
        """The first line on standard output that `wanted` gives something for, as `wanted` gives it."""
        return self._wait(self._stdout, wanted, timeout)

    def wait_stderr(self, wanted, timeout=20):
        """The same on standard error."""
        return self._wait(self._stderr, wanted, timeout)

    def _wait(self, lines, wanted, timeout):
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.command} did not say it within {timeout} s\n{self.tail()}") from None
            if line is None:
                raise AssertionError(f"{self.command} ended with {self._process.wait()}\n{self.tail()}")
            if found := wanted(line):
                return line if found is True else found

    def alive(self):
        """Whether it still runs."""
        return self._process.poll() is None

    def tail(self, lines=60):
        """The last lines of its standard error."""
        return "".join(self.errors[-lines:])

    def end_by_stdin(self, timeout=15):
        """Closes its standard input and waits; gives the exit status."""
        self._process.stdin.close()
        return self._process.wait(timeout)

    def end_by_signal(self, timeout=15):
        """Sends SIGTERM and waits; gives the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def kill(self):
        """For a way out that must not fail."""
        if self.alive():
            self._process.kill()
            self._process.wait()


def _pump(stream, lines, kept):
    for line in stream:
        if kept is not None:
            kept.append(line)
        lines.put(line)
    lines.put(None)
