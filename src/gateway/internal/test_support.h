#pragma once
/// A gateway on a port of its own for tests: scripted upstreams behind it, plain sockets in front.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <optional>

#include "calibration/confidence.h"
#include "gateway/gateway.h"

namespace understudy::gateway {

struct HttpAnswer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> fields;  ///< names in lower case
  std::string body;

  std::optional<std::string> field(std::string_view name) const {
    for (const auto& [key, value] : fields) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
  bool has(std::string_view text) const { return body.find(text) != std::string::npos; }
};

/// One request over a connection of its own; the answer is read to its end.
inline HttpAnswer send(std::uint16_t port, std::string_view method, std::string_view path, std::string_view body = {}, std::string_view fields = {}) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const std::string request =
      fmt::format("{} {} HTTP/1.1\r\n{}Connection: close\r\nContent-Length: {}\r\n{}\r\n{}", method, path, fields.find("Host:") == std::string_view::npos ? "Host: test\r\n" : "", body.size(), fields, body);
  EXPECT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  std::string text;
  char buffer[8192];
  for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) text.append(buffer, static_cast<std::size_t>(n));
  ::close(fd);
  HttpAnswer answer;
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos) {
    ADD_FAILURE() << "not an answer: " << text;
    return answer;
  }
  answer.status = std::atoi(text.c_str() + text.find(' '));
  answer.body = text.substr(end + 4);
  for (std::size_t at = text.find("\r\n") + 2; at < end;) {
    const std::size_t line = std::min(text.find("\r\n", at), end);
    const std::size_t colon = text.find(": ", at);
    std::string name = text.substr(at, colon - at);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    answer.fields.emplace_back(std::move(name), text.substr(colon + 2, line - colon - 2));
    at = line + 2;
  }
  return answer;
}

inline ApiKey key(std::string name, std::string_view secret) {
  ApiKey made;
  made.tenant = name;
  made.name = std::move(name);
  made.hash = hash_key(secret);
  return made;
}

inline constexpr std::string_view kSure = R"({"model":"gpt-any","messages":[{"role":"user","content":"an easy one"}]})";
inline constexpr std::string_view kUnsure = R"({"model":"gpt-any","messages":[{"role":"user","content":"a hard one"}]})";

class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() : folder_(std::filesystem::temp_directory_path() / ("understudy-gateway-test-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ / "student.jsonl") << R"({"match":"hard","answer":"draft","logprob":-2.0})"
                                             << "\n"
                                             << R"({"match":"","answer":"sure","logprob":-0.01})"
                                             << "\n";
    std::ofstream(folder_ / "teacher.jsonl") << R"({"match":"broken","answer":"too long","status":400})"
                                             << "\n"
                                             << R"({"match":"","answer":"final"})"
                                             << "\n";
  }
  ~GatewayTest() override {
    gateway_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::shared_ptr<cascade::Policy> policy(double escalate_below = 0.8) const {
    auto policy = std::make_shared<cascade::Policy>();
    for (const char* name : {"student", "teacher"}) {
      cascade::PricedModel model;
      model.config.name = name;
      model.config.api = providers::Api::kScripted;
      model.config.provider = "custom";
      model.config.url = (folder_ / (std::string(name) + ".jsonl")).string();
      model.config.upstream_model = std::string(name) + "-upstream";
      CallPrices prices;
      prices.in = name[0] == 's' ? 100'000 : 1'000'000;
      prices.out = name[0] == 's' ? 400'000 : 10'000'000;
      model.override_prices = prices;
      policy->models.push_back(std::move(model));
    }
    cascade::CascadeConfig cascade;
    cascade.name = "default";
    cascade.student = 0;
    cascade.teacher = 1;
    cascade.spot_check = 0;
    cascade.escalate_below = escalate_below;
    policy->cascades.push_back(cascade);
    policy->prices = std::make_shared<PriceBook>();
    policy->confidence = std::make_shared<calibration::RawMinLogprob>();
    policy->version = fmt::format("p{}", escalate_below);
    return policy;
  }

  void start(std::vector<ApiKey> keys = {}) {
    GatewayOptions options;
    options.server.workers = 1;
    options.seed = 7;
    options.version = "test";
    options.admin = admin_;
    auto started = Gateway::start(std::move(options), {policy(), std::make_shared<KeyRing>(std::move(keys))}, nullptr);
    ASSERT_TRUE(started) << started.error().message;
    gateway_ = std::move(*started);
  }
  HttpAnswer get(std::string_view path, std::string_view fields = {}) { return send(gateway_->port(), "GET", path, {}, fields); }
  HttpAnswer chat(std::string_view body, std::string_view fields = {}, std::string_view path = "/v1/chat/completions") {
    return send(gateway_->port(), "POST", path, body, fields);
  }
  /// The value of one line of /metrics; "" where there is none.
  std::string metric(const std::string& name_and_labels) {
    const std::string text = "\n" + get("/metrics").body;
    const std::size_t at = text.find("\nunderstudy_" + name_and_labels + " ");
    if (at == std::string::npos) return {};
    const std::size_t value = at + 13 + name_and_labels.size();
    return text.substr(value, text.find('\n', value) - value);
  }

  std::filesystem::path folder_;
  AdminHandler admin_;   ///< set before start()
  std::unique_ptr<Gateway> gateway_;
};

}  // namespace understudy::gateway
