#include "agent/isolation.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <net/if.h>

#include "base/log.h"
#include "base/text.h"

namespace gantry::agent {
namespace {

using Words = std::vector<std::string>;

constexpr const char* program = "iptables";
constexpr const char* lock_wait_s = "5";  // for others who change rules
constexpr Duration program_limit = seconds(10);
constexpr const char* in_chain = "GANTRY-TASKS-IN";
constexpr const char* out_chain = "GANTRY-TASKS-OUT";
constexpr const char* own_mark = "gantry";
constexpr const char* door_mark = "gantry-proxy";
constexpr const char* link_local = "169.254.0.0/16";
constexpr std::size_t shown_bytes_max = 200;
constexpr std::string_view listening_state = "0A";  // in /proc/net/tcp

Words words_of(const std::string& line) {
  std::istringstream in(line);
  Words words;
  for (std::string word; in >> word;) {
    std::erase(word, '"');
    words.push_back(std::move(word));
  }
  return words;
}

Words joined(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Words marked(Words match, const char* mark, const Words& verdict) {
  return joined(joined(std::move(match), {"-m", "comment", "--comment", mark}), verdict);
}

/// iptables, as `run` runs it.
class Tables {
 public:
  explicit Tables(const ProgramRunner& run) : run_(run) {}

  ProgramResult call(const Words& words) const { return run_(joined({program, "-w", lock_wait_s}, words)); }
  void must(const Words& words) {
    ProgramResult result = call(words);
    if (result.exit_code != 0) {
      throw Error(ErrorCode::unavailable,
                  fmt::format("{} {}: {}", program, fmt::join(words, " "), shorten(result.output, shown_bytes_max)));
    }
    ++changes_;
  }
  bool has_chain(const std::string& chain) const { return call({"-n", "-L", chain}).exit_code == 0; }
  /// `where` is -A or -I.
  void ensure(const char* where, const std::string& chain, const Words& rule) {
    if (call(joined({"-C", chain}, rule)).exit_code != 0) must(joined({where, chain}, rule));
  }
  void ensure_chain(const std::string& chain) {
    if (!has_chain(chain)) must({"-N", chain});
  }
  std::vector<std::string> lines_of(const std::string& chain) const {
    std::istringstream in(call({"-S", chain}).output);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  int changes() const { return changes_; }

 private:
  const ProgramRunner& run_;
  int changes_ = 0;
};

std::string after(const Words& words, std::string_view option) {
  auto found = std::ranges::find(words, option);
  return found == words.end() || found + 1 == words.end() ? "" : *(found + 1);
}

/// Doors of agents that are gone.
void close_doors(Tables& tables, const IsolationRules& rules) {
  for (const std::string& line : tables.lines_of(in_chain)) {
    Words words = words_of(line);
    if (words.empty() || words[0] != "-A" || after(words, "--comment") != door_mark) continue;
    const std::string text = after(words, "--dport");
    int port = 0;
    std::from_chars(text.data(), text.data() + text.size(), port);
    bool ours = std::ranges::any_of(rules.doors, [port](const auto& door) { return door.second == port; });
    if (ours || rules.is_listening(port)) continue;
    words[0] = "-D";
    tables.must(words);
  }
}

/// Rules for bridges that are gone. Another one that is there may be another engine's.
void leave_old_bridges(Tables& tables, const std::string& from, const char* to, const IsolationRules& rules) {
  for (const std::string& line : tables.lines_of(from)) {
    Words words = words_of(line);
    if (words.empty() || words[0] != "-A" || after(words, "-j") != to || rules.is_here(after(words, "-i"))) continue;
    words[0] = "-D";
    tables.must(words);
  }
}

/// Asks the kernel: /sys may show another network namespace's.
bool interface_is_here(const std::string& name) { return !name.empty() && ::if_nametoindex(name.c_str()) != 0; }

/// By the kernel's own table: "sl local_address rem_address st ...", addresses as HEX:PORT.
bool somebody_listens(int port) {
  std::ifstream table("/proc/net/tcp");
  const std::string suffix = fmt::format(":{:04X}", port);
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    Words words = words_of(line);
    if (words.size() > 3 && words[1].ends_with(suffix) && words[3] == listening_state) return true;
  }
  return false;
}

}  // namespace

int apply_rules(const IsolationRules& rules, const ProgramRunner& run) {
  Tables tables(run);
  const Words pass{"-j", "RETURN"};
  tables.ensure_chain(in_chain);
  tables.ensure_chain(out_chain);
  // What is let pass goes to the front, what is refused to the end: also if only some of it was missing.
  for (const char* chain : {in_chain, out_chain}) {
    // A cloud's name server may have a link-local address, and this machine may be one itself.
    for (const char* protocol : {"udp", "tcp"}) {
      tables.ensure("-I", chain, marked({"-p", protocol, "-m", protocol, "--dport", "53"}, own_mark, pass));
    }
  }
  tables.ensure("-I", in_chain, marked({"-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"}, own_mark, pass));
  for (const auto& [address, port] : rules.doors) {
    const Words door{"-d", address + "/32", "-p", "tcp", "-m", "tcp", "--dport", std::to_string(port)};
    tables.ensure("-I", in_chain, marked(door, door_mark, pass));
  }
  const Words refuse{"-j", "REJECT", "--reject-with", "icmp-port-unreachable"};
  tables.ensure("-A", in_chain, marked({}, own_mark, refuse));
  tables.ensure("-A", out_chain, marked({"-d", link_local}, own_mark, refuse));
  close_doors(tables, rules);
  // The engine's own chain for rules of others, which it asks first; without it, the one that it hangs in.
  const std::string forwarded = tables.has_chain("DOCKER-USER") ? "DOCKER-USER" : "FORWARD";
  tables.ensure("-I", "INPUT", marked({"-i", rules.bridge}, own_mark, {"-j", in_chain}));
  tables.ensure("-I", forwarded, marked({"-i", rules.bridge}, own_mark, {"-j", out_chain}));
  leave_old_bridges(tables, "INPUT", in_chain, rules);
  leave_old_bridges(tables, forwarded, out_chain, rules);
  return tables.changes();
}

Isolation::Isolation(Env& env, engine::Engine& engine, std::string network, ProgramRunner run,
                     std::function<bool(const std::string&)> is_here)
    : env_(env), engine_(engine), network_(std::move(network)), run_(std::move(run)), is_here_(std::move(is_here)) {
  if (!run_) run_ = [](const Words& words) { return run_program(words, program_limit); };
  if (!is_here_) is_here_ = interface_is_here;
}

Async<Isolation::Outcome> Isolation::put_in_place(std::string bridge) {
  auto work = [bridge = std::move(bridge), doors = doors_, run = run_, is_here = is_here_, at_work = at_work_] {
    if (!is_here(bridge)) return Outcome{0, "the container engine's network is not on this machine"};
    std::lock_guard lock(*at_work);
    return Outcome{apply_rules({bridge, doors, somebody_listens, is_here}, run)};
  };
  try {
    co_return co_await env_.blocking(std::move(work));
  } catch (const Error& error) {
    co_return Outcome{0, error.hint().empty() ? error.message() : fmt::format("{}; {}", error.message(), error.hint())};
  }
}

Async<> Isolation::check() {
  engine::NetworkInfo network = co_await engine_.network_info(network_);
  Outcome outcome = co_await put_in_place(network.bridge);
  trouble_ = std::move(outcome.trouble);
  if (outcome.changes > 0) {
    log_info("firewall: {} rule(s) for the tasks' network put in place on {}", outcome.changes, network.bridge);
  }
  if (trouble_.empty()) {
    if (told_) log_info("firewall: tasks are kept from this machine again");
    told_ = false;
  } else if (!told_) {
    log_warning(
        "firewall: tasks are not kept from this machine's own services and link-local addresses (docs/isolation.md): "
        "{}",
        trouble_);
    told_ = true;
  }
}

Async<> Isolation::let_in(std::string address, int port) {
  bool is_new = doors_.emplace(std::move(address), port).second;
  if (is_new) co_await check();
}

}  // namespace gantry::agent
