// A machine that a JSON file describes: for tests, and for people whose cloud has no plug-in here, for they can have
// the file written by a script. It is read again each notice_interval. Keys, none of them required:
//   workerId, workerGroup, workerType, workerNodeType, region, publicHostname: texts
//   settings: of the agent, key by key
//   terminationTime: when the machine is taken away, once that is known (RFC 3339)
#pragma once

#include "agent/host/host.h"
#include "base/env.h"

namespace gantry::agent {

struct HostFile {
  HostFacts facts;
  std::optional<HostNotice> notice;
};

Result<HostFile> parse_host_file(std::string_view text);

std::shared_ptr<Host> make_file_host(Env& env, std::string path);

}  // namespace gantry::agent
