"""What stands in for guestfish: a system with /etc, an account, and whatever the test wants."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
GUEST = {
    "inspect-os": "/dev/sda1\n",
    "inspect-get-type": "linux\n",
    "inspect-get-mountpoints": "/: /dev/sda1\n",
    "exists": "false\n",
    'exists "/etc"': "true\n",
    "is-dir": "false\n",
    'is-dir "/etc"': "true\n",
    "is-file": "false\n",
    'is-file "/etc/passwd"': "true\n",
    "filesize": "10\n",
    "cat": "web:x:5:6::/:/bin/sh\n\n",
    "realpath": "/etc\n",
}


def answer(line: str, answers: dict[str, str]) -> str:
    known = [each for each in answers if line.startswith(each)]
    return answers[max(known, key=len)] if known else ""


(HERE / "environment").write_text("".join(f"{k}={v}\n" for k, v in os.environ.items()))
(HERE / "arguments").write_text("\n".join(sys.argv[1:]))
answers = {**GUEST, **json.loads((HERE / "answers").read_text())}
with (HERE / "asked").open("w", buffering=1, encoding="utf-8") as asked:
    end = ""
    for text in sys.stdin:
        line = text.rstrip("\n")
        if line.startswith("echo "):
            end = line[6:-1] + "\n"
            sys.stdout.write(end)
        else:
            asked.write(line + "\n")
            if line.startswith("-upload "):
                content = Path(line.split('"')[1]).read_bytes()
                asked.write(f"  {content!r}\n")
            said = answer(line.removeprefix("-"), answers)
            if said == "hangs":
                with subprocess.Popen(["sleep", "600"]) as child:
                    (HERE / "child").write_text(str(child.pid))
            if said.startswith("repeats"):
                sys.stdout.write(end)
                sys.stdout.flush()
                time.sleep(0.2)
                said = said.removeprefix("repeats")
            if said.startswith("ends"):
                sys.stderr.write(said.removeprefix("ends"))
                sys.exit(1)
            if said.startswith("error: "):
                sys.stderr.write(f"*stdin*:1: libguestfs: {said}\n")
            elif said == "endless":
                sys.stdout.write("x" * (8 << 20))
            else:
                sys.stdout.write(said)
        sys.stdout.flush()
        sys.stderr.flush()
