"""Runs a command and tells what it took: python child.py COMMAND...

The last line of the output is the command's `ru_maxrss` and its seconds of processor time. This file has no
large imports: on Linux a process begins with its parent's peak, so a large parent hides what a child took.
"""

import os
import subprocess
import sys

if __name__ == "__main__":
    process = subprocess.Popen(sys.argv[1:])
    _, status, usage = os.wait4(process.pid, 0)
    print(usage.ru_maxrss, usage.ru_utime + usage.ru_stime)
    sys.exit(os.waitstatus_to_exitcode(status))
