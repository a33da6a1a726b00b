import assert from "node:assert/strict";
import { test } from "node:test";
import { withNamespaces } from "../support/netns.js";
import { soak } from "./soak.js";

test("1,000 ADDs and DELs with the server killed at random: nothing leaks, no address twice", () =>
  withNamespaces(async (lab) => {
    const { added, kills } = await soak(lab, 1000);
    // How many come through depends on how fast a killed server is back; both kinds must be many.
    assert.ok(added > 100, `${added} were attached`);
    assert.ok(kills > 5, `${kills} kills`);
  }));
