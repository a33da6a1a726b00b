import { Argument, Command } from "commander";
import { type Cli, programName } from "../agent-command.js";
import { completionScript, type Shell, shells } from "../completion-script.js";

const help = {
  node: `
To switch it on:
  bash   source <(sluicectl completion bash)      in ~/.bashrc
  zsh    source <(sluicectl completion zsh)       in ~/.zshrc, behind compinit
  fish   sluicectl completion fish | source       in ~/.config/fish/config.fish
`,
  cluster: `
kubectl completes the words of kubectl sluice, too, when its own completion is on and
kubectl_complete-sluice is beside kubectl-sluice. These scripts are for kubectl-sluice by itself:
  bash   source <(kubectl sluice completion bash)
  zsh    source <(kubectl sluice completion zsh)
  fish   kubectl sluice completion fish | source
`,
};

/** `sluicectl completion` */
export function completionCommand(cli: Cli): Command {
  const command = new Command("completion")
    .summary("a completion script for your shell")
    .description(`Prints a script that completes the words of ${programName(cli)} in a shell.`)
    .addArgument(new Argument("<shell>", "which shell").choices(shells))
    .addHelpText("after", help[cli.mode]);
  return command.action((shell: Shell) => {
    const program = command.parent;
    if (program === null) return;
    const name = cli.mode === "node" ? "sluicectl" : "kubectl-sluice";
    cli.io.stdout.write(completionScript(program, name, shell));
  });
}
