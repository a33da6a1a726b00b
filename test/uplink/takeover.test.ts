/** A successor on the tables of an earlier agent: it finds what is in force, and replaces it in one step. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { XdpAction } from "../../datapath/index.js";
import { policy, rule } from "../oracle/build.js";
import { eth, ipv4, packet } from "../support/packets.js";
import { udp } from "../support/transports.js";
import { openUplink, Uplink } from "./harness.js";

const first = await openUplink();
after(() => first.close());

const frame = packet(eth(), ipv4({ source: "192.0.2.1", destination: "192.0.2.2" }), udp({}));
const drop = rule("drop", "Drop");
const web = rule("web", "Accept", {
  protocols: [{ kind: "tcp", destinationPort: { start: 80, end: 80 } }],
});
const limitless = rule("other", "Accept", { protocols: [{ kind: "sctp" }] });

describe("an agent that takes tables over", () => {
  it("finds nothing where none has been", async () => {
    await first.apply({ policies: [policy("p", [web, drop])] });
    assert.deepEqual(first.firewall.difference, { same: 0, missing: 2, stale: 0 });
    assert.equal(first.run(frame).verdict, XdpAction.drop);
  });

  it("finds all rules of the same manifests in force, and goes on judging by them", async () => {
    const second = new Uplink(first.datapath, () => undefined);
    assert.equal(first.run(frame).verdict, XdpAction.drop, "before the successor's first change");
    await second.apply({ policies: [policy("p", [web, drop])] });
    assert.deepEqual(second.firewall.difference, { same: 2, missing: 0, stale: 0 });
    assert.equal(second.run(frame).verdict, XdpAction.drop);
  });

  it("tells what was added, changed and removed while no agent ran", async () => {
    const third = new Uplink(first.datapath, () => undefined);
    await third.apply({
      policies: [policy("p", [limitless, rule("web", "Drop", { protocols: web.protocols }), drop])],
    });
    assert.deepEqual(third.firewall.difference, { same: 1, missing: 2, stale: 1 });
  });
});
