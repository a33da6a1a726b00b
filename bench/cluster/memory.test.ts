import assert from "node:assert/strict";
import { test } from "node:test";
import { readMemory } from "./memory.js";

const status = `Name:	node
VmHWM:	  204800 kB
VmRSS:	  102400 kB
RssAnon:	   51200 kB
RssFile:	   51200 kB
RssShmem:	       0 kB
`;

const smaps = `7fd9bbd80000-7fd9bc000000 rw-s 00000000 00:10 1038                       anon_inode:bpf-map
Size:               2560 kB
KernelPageSize:        4 kB
Rss:                2048 kB
Pss:                2048 kB
7fd9bc000000-7fd9bc400000 rw-p 00000000 00:00 0
Size:               4096 kB
Rss:                1000 kB
7fd9bd000000-7fd9bd400000 r--s 00000000 00:10 1038                       anon_inode:bpf-map
Size:               4096 kB
Rss:                3072 kB
Pss:                3072 kB
`;

test("mapped tables of the kernel are told apart from the rest", () => {
  assert.deepEqual(readMemory(status, smaps), {
    peakMiB: 200,
    residentMiB: 100,
    anonMiB: 50,
    fileMiB: 50,
    tablesMiB: 5,
  });
});
