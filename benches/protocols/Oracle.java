// Holds the oracle to its word by java.net.http: java Oracle.java URL TARGET...
import java.net.URI;
import java.net.http.*;
import java.security.*;
import java.security.cert.X509Certificate;
import java.util.*;
import java.util.concurrent.*;
import javax.net.ssl.*;

public class Oracle {
    static String content(String target, int length) throws Exception {
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(target.getBytes());
        String hex = HexFormat.of().formatHex(hash);
        return hex.repeat(length / 64 + 1).substring(0, length);
    }

    static int number(String target, String name, int none) {
        for (String part : target.replaceFirst("^[^?]*\\??", "").split("&"))
            if (part.startsWith(name + "=")) return Integer.parseInt(part.substring(name.length() + 1));
        return none;
    }

    public static void main(String[] told) throws Exception {
        TrustManager all = new X509ExtendedTrustManager() {
            public void checkClientTrusted(X509Certificate[] c, String a) {}
            public void checkClientTrusted(X509Certificate[] c, String a, java.net.Socket s) {}
            public void checkClientTrusted(X509Certificate[] c, String a, SSLEngine e) {}
            public void checkServerTrusted(X509Certificate[] c, String a) {}
            public void checkServerTrusted(X509Certificate[] c, String a, java.net.Socket s) {}
            public void checkServerTrusted(X509Certificate[] c, String a, SSLEngine e) {}
            public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
        };
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, new TrustManager[] {all}, null);
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).sslContext(tls).build();
        List<String> targets = Arrays.asList(told).subList(1, told.length);
        List<CompletableFuture<Boolean>> asked = new ArrayList<>();
        boolean right = true;
        for (String target : targets) {
            int body = number(target, "body", 0);
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(told[0] + target));
            if (body > 0) request.POST(HttpRequest.BodyPublishers.ofString(content(target, body)));
            int length = Integer.parseInt(target.split("[/?]")[2]);
            String wanted = content(target, length);
            CompletableFuture<Boolean> one = client.sendAsync(request.build(), HttpResponse.BodyHandlers.ofString())
                .thenApply(answer -> answer.body().equals(wanted) && answer.statusCode() == number(target, "status", 200));
            asked.add(one);
            // The first alone, so that it may upgrade; then some side by side.
            if (asked.size() % 5 == 1) right &= one.get(20, TimeUnit.SECONDS);
        }
        for (CompletableFuture<Boolean> one : asked) right &= one.get(20, TimeUnit.SECONDS);
        System.exit(right ? 0 : 1);
    }
}
