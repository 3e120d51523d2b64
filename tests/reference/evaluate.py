#!/usr/bin/env python3
"""A second evaluator of policies, written from docs/policy.md section 8 alone and in another style, held against dozo's over random policies.

    tests/reference/evaluate.py POLICY_WORLDS POLICIES REQUESTS [FIRST_SEED]

A policy is turned into sets of facts once; what a rule asks is a conjunction of questions, each of which is answered yes, no or unclear. Decision and the rules that made it must be the same.
"""
import json
import subprocess
import sys

NO, UNCLEAR, YES = 0, 1, 2
SERVICE, NOBODY = "service", "0" * 32


def among(wanted, found):
    """A condition that is not there asks nothing; else one of what is found must be wanted."""
    return YES if wanted is None or not wanted.isdisjoint(found) else NO


def within(rule, seconds):
    return rule.get("from", 0) <= seconds and not 0 < rule.get("until", 0) <= seconds


class Facts:
    """What mesh and directory say, as sets."""

    def __init__(self, mesh, directory):
        self.served = {node["id"]: node.get("served_by") for node in mesh["nodes"]}
        self.members = {library["id"]: {member["node"]: member for member in library["members"]} for library in mesh["libraries"]}
        self.ceiling = {library["id"]: library["ceiling"] for library in directory["libraries"] if "ceiling" in library}
        self.labels = {0} | {label["number"] for label in directory["labels"]}
        above = {org["id"]: org.get("parent") for org in directory["orgs"]}
        kinds = {org["id"]: org.get("class") for org in directory["orgs"]}
        units = {}
        for org in above:
            chain, at = set(), org
            while at is not None:
                chain.add(at)
                at = above.get(at)
            units[org] = chain
        posts = {post["id"]: post for post in directory["posts"]}
        # (role, post, unit, units that count, class, tenure) of each person
        self.held = {
            person["id"]: [(role, post["id"], post["org"], units.get(post["org"], {post["org"]}), kinds.get(post["org"]), tenure)
                           for tenure in person["posts"] for post in [posts.get(tenure["post"])] if post for role in post["roles"] if role != SERVICE]
            for person in directory["people"]}
        self.rules = [(kind, rule, {key: set(rule[key]) if key in rule else None
                                    for key in ("people", "roles", "posts", "orgs", "classes", "nodes", "libraries", "labels", "acted_as", "actions")})
                      for kind, rules in (("permits", directory["permits"]), ("forbids", directory["forbids"])) for rule in rules]

    def mesh_allows(self, node, action, library):
        """None: it does not. Else whether that is all there is to ask."""
        if node not in self.served or library not in self.members:
            return None
        bureau = self.served[node]
        if bureau is not None and self.served.get(bureau, NOBODY) is not None:
            return None  # served by a desk, or by nobody
        member = self.members[library].get(bureau or node)
        if member is None or (bureau and member["holding"] == "blind"):
            return None
        if action == "replicate":
            return True
        if member["holding"] == "blind" or (action == "write" and not bureau and not member["may_write"]):
            return None
        return False

    def decide(self, person, role, org, node, action, library, label, time_ms, acted_as):
        nothing = (False, [], [], [])
        allows = self.mesh_allows(node, action, library)
        if allows is None:
            return nothing
        if allows:
            return (True, [], [], [])
        capacities = [it for it in self.held.get(person, ()) if it[0] == role and org in ("", it[2]) and within(it[5], time_ms / 1000)]
        if (role != SERVICE) if person == NOBODY else not capacities:
            return nothing
        known_label = label is not None and label in self.labels
        if action == "write" and library in self.ceiling and not (known_label and label <= self.ceiling[library]):
            return nothing

        def fits(rule, sets):
            places = [min(among(sets["posts"], {post}), among(sets["orgs"], chain), among(sets["classes"], {kind})) for _, post, _, chain, kind, _ in capacities]
            asks_place = any(sets[key] is not None for key in ("posts", "orgs", "classes"))
            answers = [among(sets["actions"], {action}), among(sets["people"], {person}), among(sets["roles"], {role}), among(sets["libraries"], {library}),
                       among(sets["nodes"], {node, self.served[node]}), max(places, default=NO) if asks_place else YES]
            if sets["labels"] is not None:
                answers.append(among(sets["labels"], {label}) if known_label else UNCLEAR)
            if rule.get("from", 0) or rule.get("until", 0):
                answers.append((YES if within(rule, time_ms / 1000) else NO) if time_ms > 0 else UNCLEAR)
            if sets["acted_as"] is not None:
                answers.append(UNCLEAR if acted_as is None else among(sets["acted_as"], set(acted_as)))
            return min(answers)

        found = {("permits", YES): [], ("permits", UNCLEAR): [], ("forbids", YES): [], ("forbids", UNCLEAR): []}
        for kind, rule, sets in self.rules:
            answer = fits(rule, sets)
            if answer != NO:
                found[kind, answer].append(rule["id"])
        allowed = bool(found["permits", YES]) and not found["forbids", YES] and not found["forbids", UNCLEAR]
        return allowed, sorted(found["permits", YES]), sorted(found["forbids", YES]), sorted(found["permits", UNCLEAR] + found["forbids", UNCLEAR])


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(f"usage: {sys.argv[0]} POLICY_WORLDS POLICIES REQUESTS [FIRST_SEED]")
    counts = {"requests": 0, "allowed": 0, "forbidden": 0, "unclear": 0}
    with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE) as worlds:
        for line in worlds.stdout:
            world = json.loads(line)
            facts = Facts(world["mesh"], world["directory"])
            for number, (*asked, allowed, permits, forbids, errors) in enumerate(world["asked"]):
                mine = facts.decide(*asked)
                if mine != (allowed, permits, forbids, errors):
                    sys.exit(f"seed {world['seed']}, request {number}: {asked}\ndozo: {(allowed, permits, forbids, errors)}\nhere: {mine}\n"
                             f"again: {sys.argv[0]} {sys.argv[1]} 1 {number + 1} {world['seed']}")
                counts["requests"] += 1
                counts["allowed"] += allowed
                counts["forbidden"] += bool(permits and forbids)
                counts["unclear"] += bool(errors)
    if worlds.returncode != 0 or counts["requests"] != int(sys.argv[2]) * int(sys.argv[3]):
        sys.exit(f"policy_worlds ended with {worlds.returncode} after {counts['requests']} requests")
    if min(counts.values()) * 500 < counts["requests"]:
        sys.exit(f"so random that hardly anything happens: {counts}")
    print(f"two evaluators agree: {counts}")


if __name__ == "__main__":
    main()
