# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""What scripts that start servers have in common: servers that end with us, a command that runs beside them."""
import shutil
import signal
import socket
import subprocess
import time

HOST = "127.0.0.1"
POLL_SECONDS = 0.05
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Failure(Exception):
    """Ends the script with its text and status."""

    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status


def tied(command):
    """The command as one that dies with this process, whatever ends it."""
    return ["setpriv", "--pdeathsig", "KILL", *command] if shutil.which("setpriv") else command


def wait_for_port(port, process, seconds):
    """Until it accepts connections; False: it ended, or took too long."""
    deadline = time.monotonic() + seconds
    while True:
        with socket.socket() as attempt:
            if attempt.connect_ex((HOST, port)) == 0:
                return True
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)


def run_child(words, environment):
    """Runs the command; what asks us to end is handed on to it, so that it may clean up too."""
    try:
        process = subprocess.Popen(words, env=environment)
    except FileNotFoundError as error:
        raise Failure(str(error), 127) from None
    with process:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda received, _: process.send_signal(received))
        signal.signal(signal.SIGINT, lambda *_: None)  # a terminal sends it to the child as well
        status = process.wait()
    return 128 - status if status < 0 else status


def ignore_ending():
    """While cleaning up."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def end_by_signal(number, _frame):
    raise SystemExit(128 + number)


def run_script(main, say):
    """The whole script: its exit status, with what fails said."""
    for number in ENDING:
        signal.signal(number, end_by_signal)
    try:
        return main() or 0
    except Failure as failure:
        say(str(failure))
        return failure.status
    except OSError as error:
        say(str(error))
        return 1
