import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseCidr } from "../model/cidr.js";
import type { Attachment } from "./attachment.js";
import { AttachmentStore } from "./attachment-store.js";
import { type AttachmentParts, Attachments } from "./attachments.js";
import { formatAlias } from "./link-alias.js";

/** What outlives the process: links with their alias, and the pods whose policy is pinned. */
interface Kernel {
  readonly links: Map<string, string>;
  readonly judged: Set<string>;
}

/** A process that is killed at its n-th step: before that step has an effect, or after. */
interface Death {
  readonly atStep: number;
  readonly isAfter: boolean;
}

const silent = { info: () => {}, warn: () => {}, error: () => {} };
const never: Death = { atStep: Number.POSITIVE_INFINITY, isAfter: false };

function startProcess(folder: string, kernel: Kernel, death: Death): Attachments {
  let steps = 0;
  /** Runs a step, unless the process is dead or dies here. From then on nothing it does has an effect. */
  const step = <T>(work: () => T): T => {
    const isLast = ++steps === death.atStep;
    if (steps > death.atStep || (isLast && !death.isAfter)) throw new Error("killed");
    const result = work();
    if (isLast) throw new Error("killed");
    return result;
  };
  const real = new AttachmentStore(folder);
  const store = new Proxy(real, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return async (...args: readonly unknown[]) => {
        const isLast = ++steps === death.atStep;
        if (steps > death.atStep || (isLast && !death.isAfter)) throw new Error("killed");
        const result: unknown = await Reflect.apply(method, target, args);
        if (isLast) throw new Error("killed");
        return result;
      };
    },
  });
  const parts: AttachmentParts = {
    store,
    log: silent,
    links: {
      create: (attachment: Attachment) =>
        step(() => void kernel.links.set(attachment.hostName, formatAlias(attachment))),
      activate: () => step(() => {}),
      check: () => undefined,
      remove: (hostName) => step(() => void kernel.links.delete(hostName)),
      list: () => [...kernel.links].map(([hostName, alias]) => ({ hostName, alias, mtu: 1500 })),
    },
    network: {
      attach: async ({ hostName }) => step(() => void kernel.judged.add(hostName)),
      detach: async ({ hostName }) => step(() => void kernel.judged.delete(hostName)),
      check: async () => undefined,
    },
  };
  return new Attachments(parts);
}

const request = (containerId: string) => ({
  containerId,
  ifName: "eth0",
  network: "net",
  netns: "/run/netns/x",
  mtu: 1500,
  wantedAddresses: [],
  wantedMac: undefined,
  pod: { namespace: "web", name: containerId, uid: "u" },
});

test("a process killed at any step of any call leaves nothing that the next one does not put right", async () => {
  const call = fc.record({
    verb: fc.constantFrom("add", "delete"),
    id: fc.constantFrom("a", "b", "c"),
  });
  const life = fc.record({
    calls: fc.array(call, { maxLength: 6 }),
    atStep: fc.integer({ min: 1, max: 40 }),
    isAfter: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 4 }), async (lives) => {
      const folder = mkdtempSync(join(tmpdir(), "sluice-attachments-"));
      const kernel: Kernel = { links: new Map(), judged: new Set() };
      /** What a runtime was told is attached; undefined: it does not know. */
      const told = new Map<string, boolean | undefined>();
      try {
        for (const { calls, ...death } of lives) {
          const process = startProcess(folder, kernel, death);
          process.setPodCidrs([parseCidr("10.0.0.0/29")]);
          try {
            await process.restore();
          } catch {
            continue;
          }
          for (const { verb, id } of calls) {
            const before = told.get(id);
            const done = verb === "add" ? process.add(request(id)) : process.delete(request(id));
            await done.then(
              () => told.set(id, verb === "add"),
              () => told.set(id, verb === "add" && before === true ? true : undefined),
            );
          }
        }
        const last = startProcess(folder, kernel, never);
        last.setPodCidrs([parseCidr("10.0.0.0/29")]);
        await last.restore();
        const { attachments, pools } = last.state();
        assert.equal(kernel.links.size, attachments);
        assert.equal(kernel.judged.size, attachments);
        assert.equal(pools[0]?.used, attachments);
        assert.equal(files(folder).length, attachments);
        assert.ok(files(folder).every((name) => name.endsWith(".json")));
        for (const [id, isAttached] of told) {
          if (isAttached === true) await last.check(request(id), addressesOf(kernel, id));
        }
        for (const id of ["a", "b", "c"]) await last.delete(request(id));
        assert.equal(kernel.links.size + kernel.judged.size + files(folder).length, 0);
        assert.equal(last.state().pools[0]?.used, 0);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
    { numRuns: 150 },
  );
});

function files(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => name !== "cursors" && name !== "corrupt");
}

function addressesOf(kernel: Kernel, id: string): readonly string[] {
  return [...kernel.links.values()].find((alias) => alias.split(" ")[1] === id)?.split(" ") ?? [];
}

test("a stale attachment whose policy cannot be taken away keeps its address until DEL succeeds", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-attachments-"));
  try {
    const kernel: Kernel = { links: new Map(), judged: new Set() };
    const first = startProcess(folder, kernel, never);
    first.setPodCidrs([parseCidr("10.0.0.0/30")]);
    await first.add(request("a"));
    kernel.links.clear();
    let isStuck = true;
    const second = new Attachments({
      store: new AttachmentStore(folder),
      log: silent,
      links: {
        create: () => {},
        activate: () => {},
        check: () => undefined,
        remove: () => {},
        list: () => [],
      },
      network: {
        attach: async () => {},
        detach: async () => {
          if (isStuck) throw new Error("stuck");
        },
        check: async () => undefined,
      },
    });
    await second.restore();
    second.setPodCidrs([parseCidr("10.0.0.0/30")]);
    await assert.rejects(second.add(request("b")), { code: "SLUICE_CNI_NO_ADDRESS" });
    await assert.rejects(second.delete(request("a")), /stuck/);
    isStuck = false;
    await second.delete(request("a"));
    assert.equal((await second.add(request("b"))).addresses.ipv4, "10.0.0.2");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("calls for one container come one after the other, and not more than 16 containers at once", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-attachments-"));
  try {
    let atOnce = 0;
    let most = 0;
    const attachments = new Attachments({
      store: new AttachmentStore(folder),
      log: silent,
      links: {
        create: () => {},
        activate: () => {},
        check: () => undefined,
        remove: () => {},
        list: () => [],
      },
      network: {
        async attach() {
          most = Math.max(most, ++atOnce);
          await new Promise((resolve) => setImmediate(resolve));
          atOnce--;
        },
        detach: async () => {},
        check: async () => undefined,
      },
    });
    await attachments.restore();
    attachments.setPodCidrs([parseCidr("10.0.0.0/24")]);
    const ids = Array.from({ length: 60 }, (_, i) => `c${i}`);
    await Promise.all(
      ids.flatMap((id) => [attachments.add(request(id)), attachments.delete(request(id))]),
    );
    assert.ok(most > 1 && most <= 16, `${most}`);
    assert.deepEqual([attachments.state().attachments, attachments.state().pools[0]?.used], [0, 0]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
