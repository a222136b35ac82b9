"""terminal.py COLUMNS PROGRAM [ARGUMENT...]: runs a program on a terminal that wide, and prints what appears on it.

The terminal stays open until everything is read: one that goes away with its program may take the last lines with it.
"""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading

END = b"\x00"
columns, *words = sys.argv[1:]
screen, terminal = pty.openpty()
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(columns), 0, 0))
program = subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)


def mark_the_end():
    program.wait()
    os.write(terminal, END)


threading.Thread(target=mark_the_end).start()
seen = b""
while not seen.endswith(END):
    seen += os.read(screen, 65536)
sys.stdout.buffer.write(seen.removesuffix(END))
sys.exit(program.returncode)
