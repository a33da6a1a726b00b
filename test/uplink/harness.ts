/**
 * The real programs on tables that the real compiler filled, judging by test runs: bytes in, verdict and counters out,
 * with no traffic and no interface but the loopback.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Reason, Trace, Types } from "../../datapath/generated/layout.js";
import {
  closeFd,
  defaultBpffs,
  GracePeriod,
  ifIndex,
  testRun,
  type TestRunResult,
} from "../../datapath/index.js";
