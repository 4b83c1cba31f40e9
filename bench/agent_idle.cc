// agent_idle_cpu_percent, agent_idle_rss_mb: `gantry agent`, a process of its own that has joined a server on the same
// machine, at rest for 60 s after 100 tasks.
#include "bench/common_client.h"
#include "bench/common_process.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

constexpr const char* pool = "bench/idle";

/// `gantry agent` beside a DevServer, with a data directory in the server's; stopped at the end.
class AgentProcess {
 public:
  AgentProcess(const DevServer& server, const std::string& token) {
    std::string binary =
        (std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "gantry").string();
    std::string data = server.directory() + "/second-agent";
    std::string log = server.directory() + "/agent.log";
    std::string url = server.url();
    process_ = ::fork();
    if (process_ != 0) return;
    ::setenv("GANTRY_JOIN_TOKEN", token.c_str(), 1);
    int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execl(binary.c_str(), binary.c_str(), "agent", "--server", url.c_str(), "--data-dir", data.c_str(), nullptr);
    ::_exit(127);
  }
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;
  ~AgentProcess() {
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
  }
  pid_t process() const { return process_; }

 private:
  pid_t process_ = 0;
};

Async<> make_token(Client& client, std::string& token) {
  std::string body = fmt::format(R"({{"pool": "{}", "ttlSeconds": 600}})", pool);
  json::value answer = co_await client.call(net::Method::post, "/v1/join-tokens", std::move(body));
  token = std::string(answer.at("token").as_string());
}

Async<> run_tasks(Client& client, int count) {
  std::vector<TaskId> ids;
  for (int i = 0; i < count; ++i) ids.push_back(co_await client.create({"true"}, "", pool));
  for (TaskId id : ids) co_await client.resolved(id);
}

void measure(const Options& options, Report& report) {
  DevServer server;
  Loop loop;
  Client client(loop.env(), server);
  std::string token;
  loop.run(make_token(client, token));
  AgentProcess agent(server, token);
  loop.run(run_tasks(client, options.quick ? 20 : 100));
  report_rest(report, "agent_idle", agent.process(), options.quick ? 10 : 60);
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
