/** Of objects with one namespace and name the last. */
export function unique<
  O extends { readonly metadata: { readonly namespace: string; readonly name: string } },
>(objects: readonly O[]): readonly O[] {
  const key = ({ metadata }: O) => `${metadata.namespace}/${metadata.name}`;
  return [...new Map(objects.map((one) => [key(one), one])).values()];
}
