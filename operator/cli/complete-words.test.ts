import assert from "node:assert/strict";
import { test } from "node:test";
import { Command, Option } from "commander";
import { completeWords } from "./complete-words.js";

const program = new Command("p")
  .addCommand(
    new Command("status")
      .addOption(new Option("-o, --output <format>").choices(["text", "json"]))
      .option("--kubeconfig <file>")
      .option("--node <name>")
      .option("--check"),
  )
  .addCommand(new Command("start"))
  .addCommand(new Command("hidden-one"), { hidden: true });

for (const [line, words, offersFiles] of [
  ["", ["status", "start", "help"], false],
  ["sta", ["status", "start"], false],
  ["hid", [], false],
  ["status ", [], false],
  ["status --", ["--output", "--kubeconfig", "--node", "--check", "--help"], false],
  ["status --ch", ["--check"], false],
  ["status -o ", ["text", "json"], false],
  ["status --check --output j", ["json"], false],
  ["status --kubeconfig ", [], true],
  ["status --node ", [], false],
  ["nonsense ", [], false],
] as const) {
  test(`"${line}" is completed by ${words.join(", ") || "nothing"}`, () => {
    assert.deepEqual(completeWords(program, line.split(" ")), { words, offersFiles });
  });
}
