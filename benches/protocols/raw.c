/* Sends standard input through TLS of mbedTLS or wolfSSL, and what comes back to standard output: raw PORT VERSION [SUITE]
   cc raw.c -DWITH_MBEDTLS -lmbedtls -lmbedx509 -lmbedcrypto | cc raw.c -DWITH_WOLFSSL -lwolfssl; VERSION: 12 or 13. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef WITH_MBEDTLS
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#else
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#endif

static char asked[1 << 20];

int main(int count, char **told) {
    size_t length = fread(asked, 1, sizeof asked, stdin), sent = 0;
    char got[16384];
    int n;
#ifdef WITH_MBEDTLS
    mbedtls_net_context net;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_ssl_context tls;
    mbedtls_ssl_config config;
    int suites[2] = {count > 3 ? mbedtls_ssl_get_ciphersuite_id(told[3]) : 0, 0};
    mbedtls_net_init(&net), mbedtls_entropy_init(&entropy), mbedtls_ctr_drbg_init(&random);
    mbedtls_ssl_init(&tls), mbedtls_ssl_config_init(&config);
    mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0);
    if (mbedtls_net_connect(&net, "127.0.0.1", told[1], MBEDTLS_NET_PROTO_TCP)) return 2;
    mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
    if (suites[0]) mbedtls_ssl_conf_ciphersuites(&config, suites);
    if (mbedtls_ssl_setup(&tls, &config)) return 2;
    mbedtls_ssl_set_bio(&tls, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
    while (sent < length) {
        if ((n = mbedtls_ssl_write(&tls, (unsigned char *)asked + sent, length - sent)) <= 0) return 3;
        sent += n;
    }
    while ((n = mbedtls_ssl_read(&tls, (unsigned char *)got, sizeof got)) > 0) fwrite(got, 1, n, stdout);
    mbedtls_ssl_close_notify(&tls);
#else
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(told[1]))};
    int net = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(net, (struct sockaddr *)&to, sizeof to)) return 2;
    wolfSSL_Init();
    WOLFSSL_CTX *of = wolfSSL_CTX_new(strcmp(told[2], "13") ? wolfTLSv1_2_client_method() : wolfTLSv1_3_client_method());
    wolfSSL_CTX_set_verify(of, WOLFSSL_VERIFY_NONE, NULL);
    if (count > 3 && wolfSSL_CTX_set_cipher_list(of, told[3]) != WOLFSSL_SUCCESS) return 4;
    WOLFSSL *tls = wolfSSL_new(of);
    wolfSSL_set_fd(tls, net);
    if (wolfSSL_connect(tls) != WOLFSSL_SUCCESS) return 3;
    while (sent < length) {
        if ((n = wolfSSL_write(tls, asked + sent, length - sent)) <= 0) return 3;
        sent += n;
    }
    while ((n = wolfSSL_read(tls, got, sizeof got)) > 0) fwrite(got, 1, n, stdout);
    wolfSSL_shutdown(tls);
#endif
    return 0;
}
