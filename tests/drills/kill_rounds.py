"""The rounds: a switch, a fault in it, a way out, and then everything as it should be before the next one."""

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
from tests.drills.kill_waiting import AWAY, STUCK_SECONDS, Stuck, Waiting
from tests.drills.kill_watch import permitted

# Most of a switch's milliseconds are over after so many seconds.
MOMENTS_SECONDS = 0.25
DOWN_SECONDS = (0.1, 0.8)
STOPPED_SECONDS = (0.2, 1.2)


class Rounds(Waiting):
    """All rounds of one drill, one after the other."""

    def __init__(self, stack: Stack, url: str, service: str, plan: Plan, load: Load, report: Report) -> None:
        super().__init__(service)
        self.stack, self.plan, self.load, self.report = stack, plan, load, report
        self.victims = Victims(stack, service, url)
        self._stale: list[tuple[int, Controller]] = []  # with the round in which each is woken
        self._starting: list[threading.Thread] = []

    def play(self, kills: int) -> None:
        """Rounds until there were so many faults, and one at every boundary; no more where nothing goes any more."""
        self.ready()
        tries = 0
        while (self.report.kills < kills or not self._is_everywhere) and tries < kills * 2:
            tries += 1
            try:
                self._round()
            except Stuck as problem:
                self.report.stuck.append(f"round {self.report.kills}: {problem}")
                if not self._set_right():
                    return
        while self._stale:
            self._let_end(self._stale.pop()[1], [])
        self._all_started()
        try:
            self.ready()
        except Stuck as problem:
            self.report.stuck.append(f"after the last round: {problem}")

    @property
    def _is_everywhere(self) -> bool:
        return all(self.report.by_step[step] for step in BOUNDARIES)

    def _round(self) -> None:
        began = time.monotonic()
        verb = "cutover" if self.home == SHARED else "rollback"
        fault = self.plan.deal(verb)
        origin = self.home
        controller = self._start(fault)
        if controller is None:
            return
        self.plan.had(fault)
        one = Round(self.report.kills + 1, fault)
        one.way_out = self.plan.way_out(fault)
        injected = self.load.begin()
        try:
            woken = [stale for number, stale in self._stale if number <= one.number]
            self._stale = [entry for entry in self._stale if entry[1] not in woken]
            if self.plan.wakes_first():
                self._wake(woken)
            self._inject(fault, controller, origin)
            self._wake(woken)
            for stale in woken:
                self._let_end(stale, one.notes)
            self._recover(one, fault, controller)
            one.home = self.one_home()
            checked = time.monotonic()
            written = self.load.written_after(injected, STUCK_SECONDS)
            one.seconds = None if written is None else written - injected
            self.ready()
            if self.load.written_after(checked, STUCK_SECONDS) is None:
                raise Stuck(f"{fault}: nothing was acknowledged in {STUCK_SECONDS} s, home {self.home}")
            one.home = self.home
            self._try_to_write(one)
        finally:
            one.took = time.monotonic() - began
            one.notes += self.problems
            self.problems.clear()
            self.report.add(one)

    # --- The fault -----------------------------------------------------------------------------------------------------

    def _start(self, fault: Fault) -> Controller | None:
        """A controller that stands where the fault comes; None where the switch was refused."""
        if fault.victim == LIFTED:
            self._all_started()
        # Whoever was stopped in an earlier round leads as far as the shared database knows.
        options = ["--take-over"] if self._stale else []
        if fault.step == "end":
            controller = Controller(self.service, fault.verb, *options)
            # Its own end is when the switch is done and not yet signed off.
            stands = controller.has_switched.wait(STUCK_SECONDS) and bool(controller.lines)
            if stands and fault.victim != CONTROLLER:
                stands = controller.ends(STUCK_SECONDS) and controller.status == 0
            stands = stands and any(line.startswith(Controller.PAUSE_TOLD) for line in controller.lines)
        else:
            first = STEPS[fault.verb][0] if fault.step == AT_RANDOM else fault.step
            controller = Controller(self.service, fault.verb, *options, "--stop-before", first)
            stands = controller.stands()
        if stands:
            return controller
        controller.ends(5)
        self.report.refused.append(f"{fault}: {controller.said}")
        print(f"         {fault.verb} before {fault.step} was refused: {controller.said[:160]}", flush=True)
        self.ready()
        return None

    def _inject(self, fault: Fault, controller: Controller, origin: str) -> None:
        if fault.step == AT_RANDOM:
            controller.send(signal.SIGCONT)
            # No condition is waited for: the moment is meant to be any.
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
            faults.go_on(stopped)

    def _start_again(self, name: str) -> None:
        """Beside everything else: the way out does not wait for whoever is not needed for it."""

        def start() -> None:
            try:
                self.victims.start_again(name)
            except (StartFailed, psycopg.OperationalError) as error:
                self.problems.append(f"{name} does not start again: {error}")

        thread = threading.Thread(target=start, name=f"start {name}")
        thread.start()
        self._starting.append(thread)
        if name in {faults.SHARED_SERVER, faults.HOMES_SERVER}:
            self._all_started()
        else:
            # The stack's list of processes is one thread's at a time; after this the other one only waits.
            faults.until(lambda: self.victims.is_there(name) or not thread.is_alive(), STUCK_SECONDS)

    def _all_started(self) -> None:
        while self._starting:
            self._starting.pop().join()

    # --- The way out ---------------------------------------------------------------------------------------------------

    def _recover(self, one: Round, fault: Fault, controller: Controller) -> None:
        is_stale = fault.victim == CONTROLLER and fault.kind != KILL and not controller.has_ended
        if not is_stale and not controller.ends(STUCK_SECONDS):
            one.notes.append(f"the controller does not end in {STUCK_SECONDS} s: {controller.said}")
            controller.send(signal.SIGKILL)
            controller.ends(5)
            self.report.stuck.append(f"round {one.number}, {fault}: the controller did not end")
        if not is_stale and controller.status and fault.victim != CONTROLLER:
            one.notes.append(f"the controller ended with {controller.status}: {controller.said}")
        if one.way_out in {RESUME, ABORT}:
            helper = Controller(self.service, one.way_out, "--take-over")
            if not helper.ends(STUCK_SECONDS):
                helper.send(signal.SIGKILL)
                self.report.stuck.append(f"round {one.number}, {fault}: {one.way_out} did not end")
            if helper.status:
                one.notes.append(f"{one.way_out} ended with {helper.status}: {helper.said}")
        if is_stale:
            if one.way_out == WATCH and fault.step in {"marker", "open"}:
                self.one_home()
            rounds = self.plan.sleeps_for()
            if rounds:
                self._stale.append((one.number + rounds, controller))
            else:
                self._let_end(controller, one.notes)

    def _wake(self, woken: list[Controller]) -> None:
        """Those who were stopped in an earlier round go on in the middle of this one."""
        for stale in woken:
            stale.send(signal.SIGCONT)

    def _let_end(self, stale: Controller, notes: list[str]) -> None:
        stale.send(signal.SIGCONT)
        if not stale.ends(STUCK_SECONDS):
            stale.send(signal.SIGKILL)
            self.report.stuck.append(f"a {stale.verb} that woke up late did not end: {stale.said}")
        notes.append(f"the stopped {stale.verb} woke up and ended with {stale.status}: {stale.said}")

    def _try_to_write(self, one: Round) -> None:
        """In the platform's name, at a quiet moment, in both databases: one permits it."""
        where = permitted(self.service)
        if where != [self.home]:
            words = f"round {one.number}, {one.fault}: rows can be inserted in {where or 'no database'}, home is {self.home}"
            (self.report.two_homes if len(where) > 1 else self.report.stuck).append(words)

    def _set_right(self) -> bool:
        """After something was stuck: everything by hand, so that the other rounds can tell something. Whether it helped."""
        for _, stale in self._stale:
            stale.send(signal.SIGKILL)
        self._stale.clear()
        Controller(self.service, RESUME, "--take-over").ends(STUCK_SECONDS)
        try:
            self.ready()
        except (Stuck, *AWAY):
            return False
        return True
