#include "agent/host/aws.h"

#include <fmt/format.h>

#include "agent/host/limits.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr const char* user_data = "/2012-01-12/user-data";
constexpr const char* spot_notice = "/latest/meta-data/spot/termination-time";

std::string meta_data(std::string_view name) { return fmt::format("/2012-01-12/meta-data/{}", name); }

/// "eu-central-1b" is in eu-central-1.
std::string region_of(std::string zone) {
  while (!zone.empty() && zone.back() >= 'a' && zone.back() <= 'z') zone.pop_back();
  return zone;
}

class AwsHost : public Host {
 public:
  AwsHost(Env& env, std::shared_ptr<net::Transport> transport, std::string host_header)
      : env_(env), transport_(std::move(transport)), host_header_(std::move(host_header)) {}

  Async<HostFacts> facts() override {
    HostFacts facts;
    facts.public_name = co_await read_surely(meta_data("public-hostname"));
    facts.worker_id = co_await read_surely(meta_data("instance-id"));
    facts.worker_type = co_await read_surely(meta_data("ami-id"));
    facts.worker_group = co_await read_surely(meta_data("placement/availability-zone"));
    facts.node_type = co_await read_surely(meta_data("instance-type"));
    facts.region = region_of(facts.worker_group);
    facts.settings = host_settings(co_await read_surely(user_data), "user data of the instance");
    co_return facts;
  }

  Async<HostNotice> wait_for_notice() override {
    for (bool told = false;;) {
      std::optional<Error> failure;
      try {
        std::optional<std::string> text = co_await read(spot_notice);
        auto notice = text ? notice_of_termination(*text) : std::nullopt;
        if (notice) co_return *notice;
      } catch (const Error& error) {
        failure = error;
      }
      if (failure && !told) log_warning("cannot look for spot notices: {}", failure->message());
      told = failure.has_value();
      co_await env_.sleep(notice_interval);
    }
  }

  Async<bool> shut_down() override { co_return false; }
  Async<> report_error(std::string, std::string) override { co_return; }

 private:
  /// What is not there is empty. Throws the last error if no try was answered.
  Async<std::string> read_surely(std::string path) {
    for (int attempt = 1;; ++attempt) {
      std::optional<Error> failure;
      try {
        co_return (co_await read(path)).value_or("");
      } catch (const Error& error) {
        failure = error;
      }
      if (attempt == metadata_tries_max) {
        throw Error(failure->code(), failure->message(), "is this an AWS instance? else start with another --host")
            .in("instance metadata");
      }
      co_await env_.sleep(metadata_retry_delay);
    }
  }

  /// Nothing if it is not there.
  Async<std::optional<std::string>> read(std::string path) {
    if (env_.uptime() >= token_until_) co_await renew_token();
    net::IncomingResponse response = co_await ask(net::Method::get, path);
    if (response.status == 401) {
      co_await renew_token();
      response = co_await ask(net::Method::get, path);
    }
    if (response.status == 404) co_return std::nullopt;
    if (response.status == 200) co_return std::move(response.body);
    throw Error(ErrorCode::unavailable, fmt::format("{} was answered with status {}", path, response.status));
  }

  /// A service that has none is asked without.
  Async<> renew_token() {
    token_.clear();
    std::optional<Error> failure;
    try {
      net::IncomingResponse response = co_await ask(net::Method::put, "/latest/api/token");
      if (response.status == 200 && is_token(response.body)) token_ = std::move(response.body);
    } catch (const Error& error) {
      failure = error;
    }
    if (failure) log_debug("instance metadata: no token: {}", failure->message());
    token_until_ = env_.uptime() + metadata_token_life / 2;
  }

  static bool is_token(std::string_view text) {
    bool good = !text.empty() && text.size() <= 1024;
    for (char c : text) good = good && c > ' ' && c < 0x7f;
    return good;
  }

  Async<net::IncomingResponse> ask(net::Method method, std::string path) {
    net::OutgoingRequest request;
    request.method = method;
    request.target = std::move(path);
    request.headers.add("Host", host_header_);
    request.timeout = metadata_timeout;
    if (method == net::Method::put) {
      auto life = std::chrono::duration_cast<seconds>(metadata_token_life).count();
      request.headers.add("X-aws-ec2-metadata-token-ttl-seconds", std::to_string(life));
    } else if (!token_.empty()) {
      request.headers.add("X-aws-ec2-metadata-token", token_);
    }
    return transport_->exchange(std::move(request), metadata_bytes_max);
  }

  Env& env_;
  std::shared_ptr<net::Transport> transport_;
  std::string host_header_;
  std::string token_;
  Duration token_until_{};
};

}  // namespace

std::shared_ptr<Host> make_aws_host(Env& env, std::shared_ptr<net::Transport> transport, std::string host_header) {
  return std::make_shared<AwsHost>(env, std::move(transport), std::move(host_header));
}

}  // namespace gantry::agent
