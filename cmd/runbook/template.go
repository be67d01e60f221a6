package main

// What init writes for a site to begin with.

// siteTemplate is the file that init writes for a site.
const siteTemplate = `"""What our site does otherwise. It is evaluated before each runbook in this directory.

Uncomment what you need, then:

    runbook check
    runbook test
    runbook show install.star
    runbook run install.star --dry-run
"""

# 1. Another account for the server, before it is installed:
# defaults(service_user = "condasrv")

# 2. Another port:
# defaults(port = 9080)

# 3. Another place for packages:
# defaults(storage = "/data/conda/packages")

# 4. Servers inside our network instead of the vendors':
# defaults(
#     cloud_url = "https://conda.example.org/cloud",
#     miniconda_url = "https://conda.example.org/miniconda",
#     repo_urls = ["https://conda.example.org/pkgs/free", "https://conda.example.org/pkgs/pro"],
#     rpm_cdn = "https://conda.example.org/cdn",
# )

# 5. Port 80 is left alone, as it is by default; rules that an earlier run made stay until somebody deletes them:
# defaults(port80 = False)

# 6. One more channel to mirror:
# defaults(mirror_r = True)

# 7. A step of our own between two of the shipped ones:
# def inventory():
#     """Tell our inventory where the server is."""
#     write("/etc/conda-server", "port=%d\nstorage=%s\n" % (vars.port, vars.storage))
#
# after("preflight", inventory)

# 8. Something around a shipped step:
# def with_limits(mongodb):
#     """Raise the limits that MongoDB complains about, then install it."""
#     mkdir("/etc/security/limits.d")
#     write("/etc/security/limits.d/mongod.conf", "mongod soft nofile 64000\nmongod hard nofile 64000\n")
#     mongodb()
#
# replace("mongodb", with_limits)
`

// siteTestName is the file of a site's own tests.
const siteTestName = "runbook_test.star"

// siteTests is what init writes into it.
const siteTests = `"""Tests of what our site does: runbook test

They run our runbooks on simulated machines, with what runbook.star says, and touch no real one. All that a test
can do is told by: runbook help test
"""

MEDIA = """
-- /installer/mongodb-org-2.6.8-1.x86_64.rpm ? --
-- /installer/mongodb-org-mongos-2.6.8-1.x86_64.rpm ? --
-- /installer/mongodb-org-server-2.6.8-1.x86_64.rpm ? --
-- /installer/mongodb-org-shell-2.6.8-1.x86_64.rpm ? --
-- /installer/mongodb-org-tools-2.6.8-1.x86_64.rpm ? --
-- /installer/anaconda-suite/miniconda/Miniconda2-latest-Linux-x86_64.sh 0755 --
#!/bin/sh
-- /installer/anaconda-suite/pkgs/noarch/repodata.json --
{}
-- /installer/R/pkgs/noarch/repodata.json --
{}
"""

def vendor(argv):
    """What the command anaconda-server-config leaves behind; it is told of the port last."""
    if "--set" in argv:
        key, value = argv[2:4]
        return {"files": {"/etc/anaconda-server/config.yaml": "%s: %s\n" % (key, value)}}
    return None

def server():
    return machine(os = "centos 6.5", files = MEDIA, commands = {"anaconda-server-config": vendor})

def test_install():
    """The media install, and a second run has nothing to do."""
    m = server()
    r = m.run("install.star", vars = {"airgap": True})
    check.eq((r.outcome, r.error), ("done", ""))
    check.eq(m.fact("service:mongod"), "running")
    check.same(m.run("install.star", vars = {"airgap": True}))

def test_small_machine():
    """A machine that is too small is refused before anything is changed."""
    r = machine(os = "centos 6.5", memory = "1 GB", files = MEDIA).run("install.star", vars = {"airgap": True})
    check.contains(r.error, "GB of memory")
    check.eq(r.changed, 0)

# Of the tweaks in runbook.star; uncomment both:
#
# def test_port():
#     m = server()
#     m.run("install.star", vars = {"airgap": True})
#     check.contains(m.read("/etc/anaconda-server/config.yaml"), "port: 9080")
#
# def test_inventory():
#     m = server()
#     r = m.run("install.star", vars = {"airgap": True}, steps = ["preflight", "inventory"])
#     check.eq(r.steps, ["preflight", "inventory"])
#     check.eq(m.mode("/etc/conda-server"), 0o644)
`
