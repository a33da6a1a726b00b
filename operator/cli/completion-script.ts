import type { Command } from "commander";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly {
    readonly flags: readonly string[];
    readonly takesValue: boolean;
    readonly choices: readonly string[];
    readonly description: string;
  }[];
  readonly choices: readonly string[];
}

/** Script that completes the commands, options and choices of a program of this name in one of the shells. */
export function completionScript(program: Command, name: string, shell: Shell): string {
  const entries = program.createHelp().visibleCommands(program).map(toEntry);
  switch (shell) {
    case "bash":
      return bash(name, entries);
    case "zsh":
      return zsh(name, entries);
    case "fish":
      return fish(name, entries);
  }
}

function toEntry(command: Command): Entry {
  return {
    name: command.name(),
    summary: command.summary(),
    options: command.options.map((option) => ({
      flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
      takesValue: option.required || option.optional,
      choices: option.argChoices ?? [],
      description: option.description,
    })),
    choices: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
  };
}

function bash(program: string, entries: readonly Entry[]): string {
  const name = `_${program}`;
  const byPrevious = new Map<string, string>();
  for (const { options } of entries) {
    for (const { flags, takesValue, choices } of options) {
      if (takesValue) byPrevious.set(flags.join("|"), choices.join(" "));
    }
  }
  const values = [...byPrevious].map(([flags, choices]) =>
    choices === ""
      ? `    ${flags}) COMPREPLY=($(compgen -f -- "$word")); return ;;`
      : `    ${flags}) COMPREPLY=($(compgen -W "${choices}" -- "$word")); return ;;`,
  );
  const words = entries.map(({ name: command, options, choices }) => {
    const all = [...options.flatMap(({ flags }) => flags), "--help", ...choices].join(" ");
    return `    ${command}) words="${all}" ;;`;
  });
  return `# bash completion for ${program}: source <(${program} completion bash)
${name}() {
  local word="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=""
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "${entries.map(({ name: command }) => command).join(" ")} --help --version" -- "$word"))
    return
  fi
  case "$previous" in
${values.join("\n")}
  esac
  case "\${COMP_WORDS[1]}" in
${words.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F ${name} ${program}
`;
}

function zsh(program: string, entries: readonly Entry[]): string {
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const describe = (text: string) => text.replaceAll(/[[\]:\\]/g, String.raw`\$&`);
  const commands = entries.map(
    ({ name, summary }) => `    ${quote(`${name}:${describe(summary)}`)}`,
  );
  const cases = entries.map(({ name, options, choices }) => {
    const specs = options.flatMap(({ flags, takesValue, choices: values, description }) => {
      const action = values.length > 0 ? `(${values.join(" ")})` : "_files";
      return flags.map((flag) =>
        quote(`*${flag}[${describe(description)}]${takesValue ? `:value:${action}` : ""}`),
      );
    });
    const rest = choices.length > 0 ? `*:argument:(${choices.join(" ")})` : "*:argument:_files";
    return `    ${name}) _arguments ${[...specs, quote(rest)].join(" ")} ;;`;
  });
  return `#compdef ${program}
# zsh completion for ${program}: source <(${program} completion zsh)
_${program}() {
  local -a commands
  commands=(
${commands.join("\n")}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${cases.join("\n")}
  esac
}
compdef _${program} ${program}
`;
}

function fish(program: string, entries: readonly Entry[]): string {
  const quote = (text: string) =>
    `'${text.replaceAll("\\", "\\\\").replaceAll("'", String.raw`\'`)}'`;
  const lines = [
    `# fish completion for ${program}: ${program} completion fish | source`,
    `complete -c ${program} -f -n __fish_use_subcommand -l version -d ${quote("print the version")}`,
  ];
  for (const { name, summary, options, choices } of entries) {
    lines.push(
      `complete -c ${program} -f -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
    );
    const within = `complete -c ${program} -n ${quote(`__fish_seen_subcommand_from ${name}`)}`;
    for (const { flags, takesValue, choices: values, description } of options) {
      const names = flags.map((flag) =>
        flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
      );
      const value =
        values.length > 0 ? ` -x -a ${quote(values.join(" "))}` : takesValue ? " -r" : "";
      lines.push(`${within} ${names.join(" ")}${value} -d ${quote(description)}`);
    }
    if (choices.length > 0) lines.push(`${within} -f -a ${quote(choices.join(" "))}`);
  }
  return `${lines.join("\n")}\n`;
}
