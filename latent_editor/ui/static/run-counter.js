// @ts-check
// Numbers the runs of one kind, so that answers to an abandoned run can be ignored.

export class RunCounter {
  /** The number of the run on the screen; 0 for none. */
  active = 0;
  #last = 0;

  /** Starts a run, which takes the place of the one before. */
  begin() {
    this.#last += 1;
    this.active = this.#last;
    return this.active;
  }

  /** @param {number} run */
  isActive(run) {
    return run === this.active;
  }

  end() {
    this.active = 0;
  }
}
