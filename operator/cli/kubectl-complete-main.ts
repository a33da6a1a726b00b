#!/usr/bin/env node
import { completeWords } from "./complete-words.js";
import { createProgram } from "./program.js";

/** kubectl runs `kubectl_complete-sluice` with the words after `kubectl sluice`, and reads the answer as cobra writes it. */
const noFiles = 4;
const { stdout, stderr, stdin, env } = process;
const io = { stdout, stderr, stdin, env, signal: new AbortController().signal };
const program = createProgram({ io, mode: "cluster", exitCode: 0 });
const { words, offersFiles } = completeWords(program, process.argv.slice(2));
stdout.write([...words, `:${offersFiles ? 0 : noFiles}`, ""].join("\n"));
