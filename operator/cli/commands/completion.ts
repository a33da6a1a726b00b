import { Argument, Command } from "commander";
import type { Cli } from "../agent-command.js";
import { completionScript, type Shell, shells } from "../completion-script.js";

const help = `
To switch it on:
  bash   source <(sluicectl completion bash)      in ~/.bashrc
  zsh    source <(sluicectl completion zsh)       in ~/.zshrc, behind compinit
  fish   sluicectl completion fish | source       in ~/.config/fish/config.fish
`;

/** `sluicectl completion` */
export function completionCommand(cli: Cli): Command {
  const command = new Command("completion")
    .summary("a completion script for your shell")
    .description("Prints a script that completes the words of sluicectl in a shell.")
    .addArgument(new Argument("<shell>", "which shell").choices(shells))
    .addHelpText("after", help);
  return command.action((shell: Shell) => {
    const program = command.parent;
    if (program !== null) cli.io.stdout.write(completionScript(program, shell));
  });
}
