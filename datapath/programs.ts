import type { ProgramFd } from "./handles.js";
import { closeFd } from "./handles.js";
import type { ProgramInfo } from "./kernel-info.js";
import { programInfo } from "./kernel-info.js";
import { programFdById } from "./kernel-objects.js";
import { openPin, pinObject } from "./pin.js";

/** A loaded program that this process holds; it lives on in links and pins after `close`. */
export class Program {
  readonly fd: ProgramFd;
  readonly name: string;

  /** Takes the descriptor over. */
  constructor(fd: ProgramFd, name: string = programInfo(fd).name) {
    this.fd = fd;
    this.name = name;
  }

  /** @throws SluiceError SLUICE_PIN_FAILED, SLUICE_NO_BPFFS */
  static openPinned(path: string): Program {
    return new Program(openPin(path, "program"));
  }

  /** Opens a program of any owner; undefined when no program has this number. */
  static openById(id: number): Program | undefined {
    const fd = programFdById(id);
    return fd === undefined ? undefined : new Program(fd);
  }

  info(): ProgramInfo {
    return programInfo(this.fd);
  }

  /** @throws SluiceError SLUICE_PIN_FAILED, SLUICE_NO_BPFFS */
  pin(path: string): void {
    pinObject(this.fd, path);
  }

  close(): void {
    closeFd(this.fd);
  }
}
