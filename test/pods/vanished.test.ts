import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { defaultBpffs, ifIndex } from "../../datapath/index.js";
import { PodPrograms } from "../../operator/apply/pod-programs.js";
import { PodTables } from "../../operator/apply/pod-tables.js";
import { GATEWAY_MAC, openPods } from "./harness.js";

const log = pino({ level: "silent" });

test("an agent forgets pods that went while none ran, and keeps the others", async () => {
  const pinRoot = mkdtempSync(join(defaultBpffs, "sluice-vanished-"));
  try {
    const pods = await openPods(pinRoot);
    const present = ifIndex(1);
    const gone = ifIndex(2 ** 31 - 1);
    for (const [name, index] of [
      ["present", present],
      ["gone", gone],
    ] as const) {
      const number = index === gone ? 2 : 1;
      const mac = `02:00:00:00:00:0${number}`;
      pods.add({ name, index, mac, ipv4: `10.0.0.${number}`, ipv6: `fd00::${number}` });
    }
    const { datapath } = pods;
    const programs = new PodPrograms(datapath, pinRoot, log, 1000);
    try {
      const tables = new PodTables(datapath, programs, GATEWAY_MAC);
      assert.deepEqual([...datapath.podInterfaces.keys()], [present]);
      const indices = new Set([...datapath.pods.entries()].map(([, { ifindex }]) => ifindex));
      assert.deepEqual([...indices], [present]);
      assert.ok(tables.usedSlots > 2);
    } finally {
      await programs.close();
      await pods.close();
    }
  } finally {
    rmSync(pinRoot, { recursive: true, force: true });
  }
});
