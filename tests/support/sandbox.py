"""Runs a program as systemd's RestrictSUIDSGID= would: no call may set a set-user-ID or set-group-ID bit (seccomp(2)).

The filter is the one that systemd installs (seccomp_restrict_suid_sgid in its seccomp-util.c), for the calls that this
program could make: chmod and its kin, mkdir and its kin, and open with O_CREAT. Usage: sandbox.py PROGRAM ARGUMENT...
"""

import ctypes
import os
import platform
import struct
import sys

SUID_SGID = 0o6000
O_CREAT = 0o100
ALLOW, EPERM = 0x7FFF0000, 0x00050000 | 1
# Call number, the argument that is the mode, and the one that is open's flags.
CALLS = {
    "x86_64": [(90, 1, None), (91, 1, None), (268, 2, None), (452, 2, None), (83, 1, None), (258, 2, None), (2, 2, 1), (257, 3, 2)],
    "aarch64": [(52, 1, None), (53, 2, None), (452, 2, None), (34, 2, None), (56, 3, 2)],
}


def op(code, k, jt=0, jf=0):
    return struct.pack("HBBI", code, jt, jf, k)


LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06


def argument(number):
    return 16 + 8 * number


program = b""
for number, mode, flags in CALLS[platform.machine()]:
    steps = [op(LOAD, argument(mode)), op(ANY_BIT, SUID_SGID, 0, 1), op(RETURN, EPERM)]
    if flags is not None:
        steps = [op(LOAD, argument(flags)), op(ANY_BIT, O_CREAT, 0, len(steps))] + steps
    program += op(LOAD, 0) + op(EQUAL, number, 0, len(steps)) + b"".join(steps)
program += op(RETURN, ALLOW)

code = ctypes.create_string_buffer(program, len(program))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
zero = ctypes.c_ulong(0)
for call, value, pointer in [(38, ctypes.c_ulong(1), zero), (22, ctypes.c_ulong(2), filter)]:
    if libc.prctl(call, value, pointer, zero, zero) != 0:
        sys.exit(f"prctl({call}): {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
