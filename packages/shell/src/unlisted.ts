/**
 * Programs that no list here knows. One may run what stands in its words, as `xvfb-run rm -rf /` does: a word that names a program
 * which rules speak of is read as if it ran, and the reason is `wrapper`. Refuses to guess at words that are English, too.
 */
import { type Frame, inside, type Runner } from './frame.ts';
import { guessText, isInterpreter } from './interpreters.ts';
import { PATHLESS, PATHS } from './path-table.ts';
import { baseName } from './paths.ts';
import { SHELLS } from './shells.ts';
import type { Field } from './values.ts';

const GUESSES_MAX = 4;

/** Programs that do harm, or run others; not `install`, `link`, `init` and their like, which are words of other programs. */
const TELLING: ReadonlySet<string> = new Set(
  (
    'rm rmdir unlink shred dd mkfs mke2fs mkswap wipefs fdisk sfdisk parted blkdiscard cp mv ln tee chmod chown chgrp chattr setfacl ' +
    'shutdown reboot poweroff halt kexec systemctl telinit kill pkill killall insmod modprobe rmmod sysctl umount iptables nft ufw ' +
    'sudo su doas pkexec run0 sudo-rs nsenter unshare chroot passwd usermod useradd visudo crontab curl wget nc ncat socat telnet ' +
    'ssh scp rsync tar cat busybox toybox env nohup setsid timeout nice ionice stdbuf xargs vi vim nano journalctl auditctl base64'
  ).split(' '),
);

const PLACE = /^\/(?:usr\/(?:local\/)?)?s?bin\//;

export function readUnlisted(program: string, args: readonly Field[], frame: Frame, runner: Runner): void {
  // What the table knows names programs, and runs none of them.
  if (PATHLESS.has(program) || Object.hasOwn(PATHS, program)) return;
  let guesses = 0;
  for (let at = 0; at < args.length && guesses < GUESSES_MAX; at++) {
    // `gdb -ex 'shell rm'`.
    const guess = args[at]!.guess.trim().replace(/^(?:shell\s+|!)/, '');
    const [first = ''] = guess.split(/\s/, 1);
    if ((first.includes('/') && !PLACE.test(first)) || !isTelling(baseName(first))) continue;
    guesses++;
    runner.facts.note('wrapper');
    if (/\s/.test(guess) || guess !== args[at]!.guess) guessText(guess, program, frame, runner);
    else runner.run(args.slice(at), inside(frame, program));
  }
}

const isTelling = (program: string): boolean =>
  TELLING.has(program) || SHELLS.has(program) || program.startsWith('mkfs.') || isInterpreter(program);
