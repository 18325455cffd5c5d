"""Makes automata of functions that share memory: what a thread does next, after each answer.

A function becomes a generator that stops before every step (a call that touches shared memory, or
waits) and is told its result. Where it stands then, together with the variables it has not done
with, is a *stand*; the step that it is about to take belongs to it. What a thread does from a
stand depends on nothing but the answers, so each stand runs once for each answer, whatever other
threads do meanwhile.
"""

import ast
import dis
import functools
import inspect
import textwrap


class _Stepping(ast.NodeTransformer):
    """Makes steps of a function's calls, and names whatever it keeps in between."""

    def __init__(self, steps, helpers):
        self.steps, self.helpers, self.names = steps, helpers, 0

    def visit_Call(self, node):
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in self.helpers:
            found = ast.YieldFrom(node)
        elif name in self.steps:
            found = ast.Yield(ast.Tuple([ast.Constant(name), *node.args], ast.Load()))
        else:
            return node
        # A value that waits for a second one in the same line is a variable like others.
        self.names += 1
        return ast.NamedExpr(ast.Name(f"{_OF_LINE}{node.lineno}_{self.names}", ast.Store()), found)

    def visit_For(self, node):
        """Count in variables, not in an iterator that nobody sees."""
        self.generic_visit(node)
        self.names += 1
        at, end = f"at_{self.names}", f"end_{self.names}"
        begin = ast.parse(f"{at}, {end} = _ends()").body[0]
        begin.value.args = node.iter.args
        test = ast.parse(f"{at} < {end}", mode="eval").body
        name = ast.unparse(node.target)
        body = ast.parse(f"{name} = {at}\n{at} += 1").body
        return [begin, ast.While(test, [*body, *node.body], [])]


_OF_LINE = "_of_line_"


def _ends(*bounds):
    return bounds if len(bounds) == 2 else (0, *bounds)


def stepping(functions, steps, helpers, space, changed=()):
    """Define functions as generators.

    Parameters
    ----------
    functions : list of function
    steps : set of str
        What stops them; a step's result is sent to the generator.
    helpers : set of str
        Names of functions that are generators themselves.
    space : dict
        Globals, to which the generators are added.
    changed : tuple of (str, str)
        Source to be replaced.
    """
    space["_ends"] = _ends
    for function in functions:
        source = textwrap.dedent(inspect.getsource(function))
        for old, new in changed:
            source = source.replace(old, new)
        tree = ast.parse(ast.unparse(ast.parse(source)))  # each statement in one line
        tree.body[0].decorator_list = []
        tree = ast.fix_missing_locations(_Stepping(steps, helpers).visit(tree))
        exec(compile(tree, "<in steps>", "exec"), space)


@functools.cache
def _live_names(code):
    """Return, by the offset of an instruction, the variables that are read after it."""
    instructions = list(dis.get_instructions(code))
    place = {instruction.offset: i for i, instruction in enumerate(instructions)}
    after = [[] for _ in instructions]
    for i, instruction in enumerate(instructions):
        name = instruction.opname
        if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            after[i].append(place[instruction.argval])
        goes_on = not name.startswith(("RETURN_", "RERAISE", "RAISE_", "JUMP_"))
        if goes_on and i + 1 < len(instructions):
            after[i].append(i + 1)
    before, found, changing = [frozenset()] * len(after), [frozenset()] * len(after), True
    while changing:
        changing = False
        for i in reversed(range(len(after))):
            found[i] = frozenset().union(*(before[k] for k in after[i]))
            read, written = _names(instructions[i])
            live = (found[i] - written) | read
            changing |= live != before[i]
            before[i] = live
    return {instruction.offset: found[i] for i, instruction in enumerate(instructions)}


def _names(instruction):
    """Return which variables an instruction reads, and which it writes."""
    if "_FAST" not in instruction.opname:
        return frozenset(), frozenset()
    kinds = instruction.opname.split("_FAST")  # some read or write two
    names = instruction.argval if isinstance(instruction.argval, tuple) else [instruction.argval]
    read, written = set(), set()
    for kind, name in zip(kinds, names, strict=False):
        (written if "STORE" in kind else read).add(name)
    return frozenset(read - written), frozenset(written)


class Automaton:
    """What a thread does: stands are ints, from 0; an ended thread's is None.

    Parameters
    ----------
    begin : callable
        Returns the thread's generator.
    """

    def __init__(self, begin):
        self._begin = begin
        self._numbers, self._histories, self._next = {}, [], {}
        #: The step that is taken from each stand.
        self.steps = []
        generator = begin()
        self._number(generator, next(generator), None)

    def after(self, stand, answer):
        """Return the stand after a step whose result was `answer`."""
        key = stand, answer
        if key not in self._next:
            self._next[key] = self._run(key)
        return self._next[key]

    def _run(self, key):
        answers, at = [], key
        while at is not None:
            answers.append(at[1])
            at = self._histories[at[0]]
        generator = self._begin()
        next(generator)
        try:
            for answer in reversed(answers):
                step = generator.send(answer)
        except StopIteration:
            return None
        return self._number(generator, step, key)

    def _number(self, generator, step, history):
        frames = [step]
        while generator is not None:
            frames.append(_stand(generator.gi_frame))
            generator = generator.gi_yieldfrom
        number = self._numbers.setdefault(tuple(frames), len(self.steps))
        if number == len(self.steps):
            self.steps.append(step)
            self._histories.append(history)
        return number


def _stand(frame):
    live = _live_names(frame.f_code)[frame.f_lasti]
    of_line = f"{_OF_LINE}{frame.f_lineno}_"
    values = frame.f_locals
    kept = [(n, v) for n, v in values.items() if n in live or n.startswith(of_line)]
    kept = [(n, v) for n, v in kept if isinstance(v, int)]
    return frame.f_code.co_name, frame.f_lasti, tuple(sorted(kept))
