import type { Command, Option } from "commander";

export interface Completion {
  readonly words: readonly string[];
  /** The shell offers file names when it finds no word. */
  readonly offersFiles: boolean;
}

/**
 * What may stand for the last word, which may be empty.
 *
 * @param words without the name of the program
 */
export function completeWords(program: Command, words: readonly string[]): Completion {
  const last = words.at(-1) ?? "";
  const starting = (all: readonly string[]) => all.filter((word) => word.startsWith(last));
  const commands = program.createHelp().visibleCommands(program);
  if (words.length < 2) {
    return { words: starting(commands.map((command) => command.name())), offersFiles: false };
  }
  const command = commands.find((known) => known.name() === words[0]);
  if (command === undefined) return { words: [], offersFiles: false };
  const { options } = command;
  const before = options.find(({ short, long }) => [short, long].includes(words.at(-2)));
  if (before !== undefined && takesValue(before)) {
    return { words: starting(before.argChoices ?? []), offersFiles: takesFile(before) };
  }
  const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
  const flags = options.flatMap(({ long }) => (typeof long === "string" ? [long] : []));
  return {
    words: starting(last.startsWith("-") ? [...flags, "--help"] : choices),
    offersFiles: false,
  };
}

function takesValue({ required, optional }: Option): boolean {
  return required || optional;
}

function takesFile({ flags }: Option): boolean {
  return /<(file|path)>/.test(flags);
}
