"""Gems in vendor/cache, made of Debian's packages of them: rubygems.org does not answer everywhere.

In: names of installed gems.  Out: `vendor/cache/NAME-VERSION.gem`; their versions in place of @NAME@ in Gemfile.lock.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

SCRIPT = r"""
require "rubygems/package"
require "fileutils"
require "tmpdir"
target = File.expand_path("vendor/cache")
FileUtils.mkdir_p(target)
ARGV.each do |name|
  found = Gem::Specification.find_by_name(name)
  places = ["#{found.full_gem_path}/lib", "/usr/lib/ruby/vendor_ruby"]
  libs = places.find { |one| File.exist?("#{one}/#{name}.rb") }
  Dir.mktmpdir do |work|
    FileUtils.mkdir_p("#{work}/lib")
    ["#{libs}/#{name}.rb", "#{libs}/#{name}"].each { |one| FileUtils.cp_r(one, "#{work}/lib") if File.exist?(one) }
    found.executables.each do |program|
      FileUtils.mkdir_p("#{work}/exe")
      own = found.bin_file(program)
      FileUtils.cp(File.exist?(own) ? own : "/usr/bin/#{program}", "#{work}/exe/#{program}")
    end
    Dir.chdir(work) do
      spec = Gem::Specification.new do |one|
        one.name, one.version, one.summary = name, found.version, found.summary
        one.authors = found.authors
        one.files = Dir["{lib,exe}/**/*"].select { |file| File.file?(file) }
        one.bindir, one.executables, one.require_paths = "exe", found.executables, ["lib"]
      end
      FileUtils.mv(Gem::Package.build(spec, true), target)
    end
  end
  puts "#{name} #{found.version}"
end
"""


def make_gems(*names: str) -> None:
    done = subprocess.run(["ruby", "-e", SCRIPT, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lock = Path("Gemfile.lock")
    text = lock.read_text()
    for line in done.stdout.splitlines():
        if line.count(" ") == 1:
            name, version = line.split()
            text = text.replace(f"@{name}@", version)
    lock.write_text(text)
