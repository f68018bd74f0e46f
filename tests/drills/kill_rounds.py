"""The rounds: a switch, a fault in it, a way out, and a healthy state before the next one."""

from __future__ import annotations

import signal
import threading
import time

import psycopg

from apps.extraction.state.stages import SHARED
from landcontracts.embedded.processes import StartFailed
from landcontracts.embedded.stack import Stack
from tests.drills import kill_faults as faults
from tests.drills.kill_controller import Controller
from tests.drills.kill_faults import CONTROLLER, KILL, LIFTED, WORKER, Victims
from tests.drills.kill_load import Load
from tests.drills.kill_plan import ABORT, AT_RANDOM, BOUNDARIES, RESUME, STEPS, WATCH, Fault, Plan
from tests.drills.kill_report import Report, Round
from tests.drills.kill_waiting import STUCK_SECONDS, UNREACHABLE, Stuck, Waiting
from tests.drills.kill_watch import permitted

# The mean of the random moments: most switches are over after so many seconds.
MOMENTS_SECONDS = 0.25
DOWN_SECONDS = (0.1, 0.8)
STOPPED_SECONDS = (0.2, 1.2)


class Rounds(Waiting):
    """All rounds of one drill, one after the other."""

    def __init__(self, stack: Stack, url: str, service: str, plan: Plan, load: Load, report: Report) -> None:
        super().__init__(service)
        self.stack, self.plan, self.load, self.report = stack, plan, load, report
        self.victims = Victims(stack, service, url)
        self._stale: list[tuple[int, Controller]] = []  # with the round in which each is resumed
        self._starting: list[threading.Thread] = []

    def play(self, kills: int) -> None:
        """Play until there were `kills` faults, and one at every boundary; stop where the service does not recover."""
        self.ready()
        tries = 0
        while (self.report.kills < kills or not self._hit_all_boundaries) and tries < kills * 2:
            tries += 1
            try:
                self._round()
            except Stuck as problem:
                self.report.stuck.append(f"round {self.report.kills}: {problem}")
                if not self._repair():
                    return
        while self._stale:
            self._let_end(self._stale.pop()[1], [])
        self._all_started()
        try:
            self.ready()
        except Stuck as problem:
            self.report.stuck.append(f"after the last round: {problem}")

    @property
    def _hit_all_boundaries(self) -> bool:
        return all(self.report.by_step[step] for step in BOUNDARIES)

    def _round(self) -> None:
        began = time.monotonic()
        action = "cutover" if self.primary == SHARED else "rollback"
        fault = self.plan.deal(action)
        origin = self.primary
        controller = self._start(fault)
        if controller is None:
            return
        self.plan.record(fault)
        round_ = Round(self.report.kills + 1, fault)
        round_.way_out = self.plan.way_out(fault)
        injected = self.load.begin()
        try:
            woken = [stale for number, stale in self._stale if number <= round_.number]
            self._stale = [entry for entry in self._stale if entry[1] not in woken]
            if self.plan.wakes_first():
                self._wake(woken)
            self._inject(fault, controller, origin)
            self._wake(woken)
            for stale in woken:
                self._let_end(stale, round_.notes)
            self._recover(round_, fault, controller)
            round_.primary = self.one_primary()
            checked = time.monotonic()
            written = self.load.written_after(injected, STUCK_SECONDS)
            round_.seconds = None if written is None else written - injected
            self.ready()
            if self.load.written_after(checked, STUCK_SECONDS) is None:
                raise Stuck(f"{fault}: nothing was acknowledged in {STUCK_SECONDS} s, the primary is {self.primary}")
            round_.primary = self.primary
            self._try_to_write(round_)
        finally:
            round_.took = time.monotonic() - began
            round_.notes += self.problems
            self.problems.clear()
            self.report.add(round_)

    # --- The fault -----------------------------------------------------------------------------------------------------

    def _start(self, fault: Fault) -> Controller | None:
        """A controller that is stopped where the fault comes; None where the switch was refused."""
        if fault.victim == LIFTED:
            self._all_started()
        # For the shared database, a controller that was stopped in an earlier round still leads.
        options = ["--take-over"] if self._stale else []
        if fault.step == "end":
            controller = Controller(self.service, fault.action, *options)
            # The controller's `end` is when the switch is done and its record is not closed yet.
            halts = controller.has_switched.wait(STUCK_SECONDS) and bool(controller.lines)
            if halts and fault.victim != CONTROLLER:
                halts = controller.ends(STUCK_SECONDS) and controller.status == 0
            halts = halts and any(line.startswith(Controller.PAUSE_PREFIX) for line in controller.lines)
        else:
            first = STEPS[fault.action][0] if fault.step == AT_RANDOM else fault.step
            controller = Controller(self.service, fault.action, *options, "--stop-before", first)
            halts = controller.halts()
        if halts:
            return controller
        controller.ends(5)
        self.report.refused.append(f"{fault}: {controller.last_line}")
        print(f"         {fault.action} before {fault.step} was refused: {controller.last_line[:160]}", flush=True)
        self.ready()
        return None

    def _inject(self, fault: Fault, controller: Controller, origin: str) -> None:
        if fault.step == AT_RANDOM:
            controller.send(signal.SIGCONT)
            # A plain sleep: the moment is meant to be random.
            time.sleep(self.plan.random.expovariate(1 / MOMENTS_SECONDS))
        if fault.victim == CONTROLLER:
            controller.send(signal.SIGKILL if fault.kind == KILL else signal.SIGSTOP)
            return
        name = self.victims.name_of(fault.victim, origin)
        process = self.victims.process(name)
        if fault.kind == KILL:
            faults.kill(process)
            self.stack.processes.forget(process)
            controller.send(signal.SIGCONT)
            if fault.victim not in {LIFTED, WORKER}:
                controller.ends(self.plan.random.uniform(*DOWN_SECONDS))
            self._start_again(name)
            return
        stopped = faults.stop(process.pid)
        try:
            controller.send(signal.SIGCONT)
            controller.ends(self.plan.random.uniform(*STOPPED_SECONDS))
        finally:
            faults.resume(stopped)

    def _start_again(self, name: str) -> None:
        """Start it in a thread: the way out waits only for the processes that it needs."""

        def start() -> None:
            try:
                self.victims.start_again(name)
            except (StartFailed, psycopg.OperationalError) as error:
                self.problems.append(f"{name} does not start again: {error}")

        thread = threading.Thread(target=start, name=f"start {name}")
        thread.start()
        self._starting.append(thread)
        if name in {faults.SHARED_SERVER, faults.PRIMARIES_SERVER}:
            self._all_started()
        else:
            # Only one thread at a time may change the stack's list of processes; from here on the other one only waits.
            faults.until(lambda: self.victims.is_running(name) or not thread.is_alive(), STUCK_SECONDS)

    def _all_started(self) -> None:
        while self._starting:
            self._starting.pop().join()

    # --- The way out ---------------------------------------------------------------------------------------------------

    def _recover(self, round_: Round, fault: Fault, controller: Controller) -> None:
        is_stale = fault.victim == CONTROLLER and fault.kind != KILL and not controller.has_ended
        if not is_stale and not controller.ends(STUCK_SECONDS):
            round_.notes.append(f"the controller does not end in {STUCK_SECONDS} s: {controller.last_line}")
            controller.send(signal.SIGKILL)
            controller.ends(5)
            self.report.stuck.append(f"round {round_.number}, {fault}: the controller did not end")
        if not is_stale and controller.status and fault.victim != CONTROLLER:
            round_.notes.append(f"the controller ended with {controller.status}: {controller.last_line}")
        if round_.way_out in {RESUME, ABORT}:
            helper = Controller(self.service, round_.way_out, "--take-over")
            if not helper.ends(STUCK_SECONDS):
                helper.send(signal.SIGKILL)
                self.report.stuck.append(f"round {round_.number}, {fault}: {round_.way_out} did not end")
            if helper.status:
                round_.notes.append(f"{round_.way_out} ended with {helper.status}: {helper.last_line}")
        if is_stale:
            if round_.way_out == WATCH and fault.step in {"marker", "open"}:
                self.one_primary()
            rounds = self.plan.rounds_asleep()
            if rounds:
                self._stale.append((round_.number + rounds, controller))
            else:
                self._let_end(controller, round_.notes)

    def _wake(self, woken: list[Controller]) -> None:
        """Resume controllers that were stopped in an earlier round, in the middle of this one."""
        for stale in woken:
            stale.send(signal.SIGCONT)

    def _let_end(self, stale: Controller, notes: list[str]) -> None:
        stale.send(signal.SIGCONT)
        if not stale.ends(STUCK_SECONDS):
            stale.send(signal.SIGKILL)
            self.report.stuck.append(f"a {stale.action} that woke up late did not end: {stale.last_line}")
        notes.append(f"the stopped {stale.action} woke up and ended with {stale.status}: {stale.last_line}")

    def _try_to_write(self, round_: Round) -> None:
        """Try to write as the platform's role in both databases: only the primary may permit it."""
        where = permitted(self.service)
        if where != [self.primary]:
            words = f"round {round_.number}, {round_.fault}: rows can be inserted in {where or 'no database'}, the primary is {self.primary}"
            (self.report.two_primaries if len(where) > 1 else self.report.stuck).append(words)

    def _repair(self) -> bool:
        """Recover by hand after a stuck round, so that later rounds are meaningful; whether it helped."""
        for _, stale in self._stale:
            stale.send(signal.SIGKILL)
        self._stale.clear()
        Controller(self.service, RESUME, "--take-over").ends(STUCK_SECONDS)
        try:
            self.ready()
        except (Stuck, *UNREACHABLE):
            return False
        return True
