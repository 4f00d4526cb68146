/* Prints what getaddrinfo says of each argument, as "NAME: ADDRESS ADDRESS" or "NAME: error NUMBER". For musl, whose lookup
   asks for both families at once and gives the name up when one of them says that it does not exist. */
#include <netdb.h>
#include <stdio.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(argv[i], NULL, &hints, &found);
    printf("%s:", argv[i]);
    if (error) {
      printf(" error %d\n", error);
      continue;
    }
    for (struct addrinfo *one = found; one; one = one->ai_next) {
      char text[INET6_ADDRSTRLEN];
      void *address = one->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)one->ai_addr)->sin_addr
                                                : (void *)&((struct sockaddr_in6 *)one->ai_addr)->sin6_addr;
      printf(" %s", inet_ntop(one->ai_family, address, text, sizeof text));
    }
    printf("\n");
    freeaddrinfo(found);
  }
  return 0;
}
