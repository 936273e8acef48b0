"""Cloud Native Buildpacks: the phases of the platform and buildpack specifications, buildpack API 0.8 to 0.10.

In: buildpacks from folders, repositories or archives.  Out: a compiled tree with layers and a launcher.
Specification: https://github.com/buildpacks/spec, buildpack.md and platform.md.
"""
