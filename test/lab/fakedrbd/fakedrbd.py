#!/usr/bin/python3
# A stand-in for drbdadm and drbdsetup where there is no DRBD: behaviour and texts as observed of DRBD 8.4.11
# with drbd-utils 9.22 on two virtual machines. There is no device and no data behind it, unless a test
# gives it some: see data.
#
# $FAKEDRBD is a directory that both hosts share, $FAKENODE this host (a or b), $FAKERES the resource.
# Files in it, for a test to write:
#   link            up or down (nothing is noticed until somebody writes or pings, as with the real one)
#   fencing         dont-care, or anything else: then a promotion without a peer runs the handler
#   handler         the exit status of the fence-peer handler, or a command
#   hang.CMD        a command that never ends
#   slow.CMD        how many more times drbdadm gives up on its helper after 5 s
#   a.open, b.open  somebody holds the device open
#   a.dev, b.dev    what `drbdadm sh-dev` answers
#   a.img, b.img    where the data of a side is: the file behind the loop device .dev, or a directory
#   a.json, b.json  the state; keys a test may set: role disk cs pd pr alive up suspended quorum repl done fail
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
import time

D, me, res = os.environ['FAKEDRBD'], os.environ['FAKENODE'], os.environ.get('FAKERES', 'r0')
peer = 'b' if me == 'a' else 'a'
args = sys.argv[1:]
cmd = next((x for x in args if not x.startswith('-')), '')
named = [x for x in args if not x.startswith('-') and x != cmd]


def rd(f, d):
    try:
        return open(f'{D}/{f}').read().strip() or d
    except OSError:
        return d


def load(n):
    s = dict(role='Secondary', disk='UpToDate', cs='Connected', pd='UpToDate', pr='Secondary', gen=0, alive=True, open=False, up=True)
    try:
        s.update(json.load(open(f'{D}/{n}.json')))
    except OSError:
        pass
    return s


def save(n, s):
    json.dump(s, open(f'{D}/{n}.tmp', 'w'))
    os.replace(f'{D}/{n}.tmp', f'{D}/{n}.json')


lk = open(f'{D}/lock', 'w')
fcntl.flock(lk, fcntl.LOCK_EX)
S, P = load(me), load(peer)
link, fencing = rd('link', 'up'), rd('fencing', 'dont-care')


# The data. With protocol C what has been acknowledged is on both sides. The stand-in copies it from one
# to the other not at each write but when somebody could notice: when the side that did not write is
# promoted, or loses the other one. Until then it is a mirror. A host that has lost power keeps what had
# been written to its device, and that is what the other one gets.
dev, img, pimg = rd(f'{me}.dev', ''), rd(f'{me}.img', ''), rd(f'{peer}.img', '')


def protect(on):
    if img and not os.path.isdir(img):
        fd = os.open(dev, os.O_RDONLY)
        fcntl.ioctl(fd, 0x125d, struct.pack('i', on))  # BLKROSET
        os.close(fd)


def fetch():
    if S.pop('mirror', False) and img and pimg:
        if os.path.isdir(img):
            for x in os.listdir(img):
                shutil.rmtree(f'{img}/{x}') if os.path.isdir(f'{img}/{x}') else os.remove(f'{img}/{x}')
            shutil.copytree(pimg, img, dirs_exist_ok=True)
        else:
            protect(0)
            with open(pimg, 'rb') as src, open(dev, 'r+b') as dst:
                shutil.copyfileobj(src, dst, 1 << 20)
                dst.flush()
                os.fsync(dst.fileno())
            protect(1)


def mounted():
    if img and os.path.isdir(img):
        roots = [x.split()[3] for x in open('/proc/self/mountinfo')]
        return any(len(x) > 1 and img.endswith(x) for x in roots)
    if img:
        try:
            os.close(os.open(dev, os.O_RDONLY | os.O_EXCL))
        except OSError:
            return True
    return False


def end(rc=0):
    save(me, S)
    sys.exit(rc)


def fail(rc, no, msg):
    print(f'1: State change failed: ({no}) {msg}', file=sys.stderr)
    print(f"Command 'drbdsetup-84 {cmd} 1' terminated with exit code {rc}", file=sys.stderr)
    end(rc)


def linked():
    return link == 'up' and P['alive'] and P['up']


def settle(ping=False):
    # The status is only refreshed when something is written or pinged: a Primary notices, a Secondary does not.
    if S['cs'] == 'Connected' and not linked() and (ping or S['role'] == 'Primary'):
        S['cs'], S['pd'], S['pr'] = 'Connecting', 'DUnknown', 'Unknown'
        if S['role'] == 'Primary':
            S['gen'], S['forked'] = time.time_ns(), True
        return True
    if S['cs'] == 'Connecting' and linked() and P['cs'] in ('Connecting', 'Connected'):
        if S['gen'] != P['gen'] and S.get('forked') and P.get('forked'):
            S['cs'] = P['cs'] = 'StandAlone'
        else:
            w = S if S['gen'] >= P['gen'] else P
            for x, y in ((S, P), (P, S)):
                if x['gen'] != w['gen']:
                    x['mirror'], y['mirror'] = True, False  # the resync
                x.update(cs='Connected', disk='UpToDate', pd='UpToDate', pr=y['role'], gen=w['gen'], forked=False)
        save(peer, P)
    if S['cs'] == 'Connected' and linked():
        S['pr'] = P['role']


def handler():
    h = rd('handler', '1')
    open(f'{D}/handler.log', 'a').write(f'{me} fence-peer {h}\n')
    rc = int(h) if h.isdigit() else subprocess.call(h, shell=True)
    if rc in (4, 7) or (rc == 5 and S['disk'] == 'UpToDate'):
        S['pd'] = 'Outdated'
    if rc == 3:
        S['pd'] = 'Inconsistent'
    if rc == 6:
        S['disk'] = 'Outdated'


def up():
    if not S['up']:
        S.update(up=True, role='Secondary', cs='Connecting', pr='Unknown')
        protect(1)
        S['disk'] = 'Consistent' if fencing != 'dont-care' and S['pd'] != 'Outdated' else S['disk']
        S['pd'] = S['pd'] if S['pd'] == 'Outdated' else 'DUnknown'
    end()


def primary():
    if S['role'] == 'Primary':
        end()
    lost = settle(ping=True)
    if '--force' not in args:
        if S['cs'] == 'Connected' and P['role'] == 'Primary':
            time.sleep(.2)
            fail(11, -1, 'Multiple primaries not allowed by config')
        if S.get('quorum') == 'no':
            fail(11, -34, 'No quorum')
        if S['disk'] in ('Outdated', 'Inconsistent'):
            fail(17, -2, 'Need access to UpToDate data')
        if S['cs'] != 'Connected' and fencing != 'dont-care' and S['pd'] == 'DUnknown':
            was = S['disk']
            handler()
            if S['disk'] == 'Outdated' or was == 'Consistent' and S['pd'] == 'DUnknown':
                if not lost:
                    fail(17, -2, 'Need access to UpToDate data')
                fail(11, -7, 'Refusing to be Primary while peer is not outdated')
            if lost or S['pd'] == 'DUnknown':
                fail(11, -7, 'Refusing to be Primary while peer is not outdated')
    fetch()
    protect(0)
    if img and S['cs'] == 'Connected':
        P['mirror'] = True
        save(peer, P)
    S['role'], S['disk'] = 'Primary', 'UpToDate'
    if S['cs'] != 'Connected':
        S['gen'], S['forked'] = time.time_ns(), True
    end()


def secondary():
    if S['open'] or os.path.exists(f'{D}/{me}.open') or S['role'] == 'Primary' and mounted():
        if '--force' not in args:
            fail(11, -12, 'Device is held open by someone')
    S['role'] = 'Secondary'
    protect(1)
    end()


def disconnect():
    if S['cs'] == 'StandAlone':
        print('unknown connection', file=sys.stderr)
        end(10)
    if fencing != 'dont-care' and S['role'] == 'Secondary' and S['cs'] == 'Connected':
        S['disk'] = 'Outdated'
    S.update(cs='StandAlone', pd='DUnknown', pr='Unknown')
    end()


def connect():
    if '--discard-my-data' in args:
        S['gen'], S['forked'] = 0, False
    S['cs'] = 'Connecting'
    settle()
    end()


def outdate():
    if S['role'] == 'Primary' or S['cs'] == 'Connected':
        end(17)
    S['disk'] = 'Outdated'
    end()


def events2():
    if not named or named[0] == res:
        node = '0' if peer == 'a' else '1'
        more = ' quorum:no open:no' if S.get('quorum') == 'no' else ''
        done = f" done:{S['done']}" if S.get('done') else ''
        repl = S.get('repl') or ('Established' if S['cs'] == 'Connected' else 'Off')
        print(f"exists resource name:{res} role:{S['role']} suspended:{S.get('suspended', 'no')}")
        print(f"exists connection name:{res} peer-node-id:{node} conn-name:{peer} connection:{S['cs']} role:{S['pr']}")
        print(f"exists device name:{res} volume:0 minor:1 disk:{S['disk']}{more}")
        print(f"exists peer-device name:{res} peer-node-id:{node} conn-name:{peer} volume:0 "
              f"replication:{repl} peer-disk:{S['pd']} resync-suspended:no{done}")
    print('exists -')
    end()


if os.path.exists(f'{D}/hang.{cmd}'):
    fcntl.flock(lk, fcntl.LOCK_UN)
    time.sleep(3600)
slow = int(rd(f'slow.{cmd}', '0'))
if slow > 0:
    open(f'{D}/slow.{cmd}', 'w').write(str(slow - 1))
    print(f"Command 'drbdsetup-84 {cmd} 1' did not terminate within 5 seconds", file=sys.stderr)
    end(20)
if cmd == 'sh-dev':
    print(rd(f'{me}.dev', '/dev/drbd1'))
    end()
if cmd == 'fetch':  # for tests: see lab.FakeDRBD.Cut
    fetch()
    end()
if cmd in ('up', 'adjust'):
    up()
if not S['up']:
    fail(10, 158, 'Unknown resource')
if S.get('fail') == cmd:
    fail(10, 127, 'Device minor not allocated')
settle()
if cmd == 'down':
    S.update(up=False, role='Secondary')
    end()
if cmd == 'role':
    print(f"{S['role']}/{S['pr']}")
    end()
if cmd == 'dstate':
    print(f"{S['disk']}/{S['pd']}")
    end()
if cmd == 'cstate':
    print(S['cs'])
    end()
verb = dict(primary=primary, secondary=secondary, disconnect=disconnect, connect=connect, outdate=outdate, events2=events2).get(cmd)
if verb:
    verb()
print('unknown command', cmd, file=sys.stderr)
end(20)
