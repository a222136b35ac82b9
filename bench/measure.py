"""What a process costs: wall time, CPU time, peak memory, and how busy the rest of the machine was meanwhile."""

import os
import subprocess
import sys
import threading
import time

QUIET = 0.1  # of a processor, used by others
TICKS = os.sysconf("SC_CLK_TCK")


def say(text):
    print(text, file=sys.stderr, flush=True)


def machine_busy():
    with open("/proc/stat") as stat:
        fields = [int(field) for field in stat.readline().split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICKS


def cpu_of(pid):
    """CPU seconds of a process that runs, all its threads."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_of(pid, mark):
    """MiB, as `VmRSS` or `VmHWM` has it."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(mark))


def turn(command, beside=(), seconds=None):
    """Wall time, CPU time, peak memory in MiB, what others used of a processor meanwhile, what it printed. The
    processes `beside` take part: their CPU time is not that of others, and is given as theirs. After so many seconds
    it is ended, and that is an error like every other end but a good one."""
    theirs = [cpu_of(pid) for pid in beside]
    busy, begin = machine_busy(), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peaks, texts = [0], []
    helpers = [threading.Thread(target=watch_memory, args=(process.pid, peaks))]
    helpers += [
        threading.Thread(target=lambda pipe=pipe: texts.append(pipe.read()))
        for pipe in (process.stdout, process.stderr)
    ]
    for helper in helpers:
        helper.start()
    timer = threading.Timer(seconds or 3600, process.kill)
    timer.start()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    timer.cancel()
    for helper in helpers:
        helper.join()
    if status != 0:
        sys.exit(f"{' '.join(command)}: ended with {process.returncode}\n{''.join(texts)[-2000:]}")
    cpu = used.ru_utime + used.ru_stime
    theirs = sum(cpu_of(pid) for pid in beside) - sum(theirs)
    others = max(0.0, machine_busy() - busy - cpu - theirs) / wall
    return {
        "wall": wall,
        "cpu": cpu,
        "mib": peaks[0] / 1024,
        "others": others,
        "theirs": theirs,
        "said": "".join(texts),
    }


def watch_memory(pid, peaks):
    """The high-water mark of a process until it ends. (Its ru_maxrss would begin with ours, from before the exec.)"""
    try:
        while True:
            with open(f"/proc/{pid}/status") as status:
                marks = [line.split()[1] for line in status if line.startswith("VmHWM")]
            if not marks:
                return
            peaks[0] = int(marks[0])
            time.sleep(0.02)
    except (FileNotFoundError, ProcessLookupError):
        pass


def quietest(run, retries):
    """The turn with the least of others in it, of so many more; the first one that is quiet."""
    best = None
    for _ in range(retries + 1):
        result = run()
        if best is None or result["others"] < best["others"]:
            best = result
        if best["others"] < QUIET:
            break
    return best
