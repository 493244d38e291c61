"""OP_CLUSTER_VERIFY: answers with the jobs that verify, one for the configuration, one a group."""

from pyganeti.base import errors
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.verifying import findings
from pyganeti.model.config import names
from pyganeti.model.opcodes import base, cluster


class Verify(operation.Operation[cluster.ClusterVerify, list[str]]):
    """The plan is the names of the groups; they wait for the configuration's job, however it ends.

    With a group's name that group alone is verified, and the configuration is not.
    """

    opcode = cluster.ClusterVerify

    async def prepare(self, context: contexts.Context, op: cluster.ClusterVerify) -> list[str]:
        """Check the words, and find the groups."""
        findings.check_codes(op.ignore_errors)
        findings.check_skipped(op.skip_checks)
        if op.group_name:
            return [context.snapshot.group(op.group_name).name]
        return [group.name for group in sorted(context.snapshot.groups.values(), key=names.by_name)]

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterVerify, plan: list[str]
    ) -> dict[str, list[list[object]]]:
        """Submit the jobs."""
        jobs: list[list[base.Opcode]] = []
        if not op.group_name:
            jobs.append(
                [
                    cluster.ClusterVerifyConfig(
                        debug_simulate_errors=op.debug_simulate_errors,
                        error_codes=op.error_codes,
                        ignore_errors=op.ignore_errors,
                        verbose=op.verbose,
                    )
                ]
            )
        jobs += [
            [
                cluster.ClusterVerifyGroup(
                    group_name=name,
                    debug_simulate_errors=op.debug_simulate_errors,
                    error_codes=op.error_codes,
                    skip_checks=op.skip_checks,
                    ignore_errors=op.ignore_errors,
                    verbose=op.verbose,
                    verify_clutter=op.verify_clutter,
                    depends=None if op.group_name else [(-place, [])],
                )
            ]
            for place, name in enumerate(plan, 1)
        ]
        submitted = await context.submit(jobs)
        if not any(is_taken for is_taken, _ in submitted):
            raise errors.Exhausted(f"no job could be submitted: {submitted[0][1]}")
        return {"jobs": submitted}


OPERATION = Verify()
