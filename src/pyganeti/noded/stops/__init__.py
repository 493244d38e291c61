"""The stops on record on this node, for those who ask over the node RPC.

Reads the journal that kvmd writes, and waits for more of it. Writes nothing, and knows nothing of
instances; only the calls may import it.
"""
